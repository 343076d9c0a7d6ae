"""MediaPipe's BlazeFace with its six keypoints."""
