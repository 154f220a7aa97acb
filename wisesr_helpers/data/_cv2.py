"""The one place that imports OpenCV, whichever of its packages is installed."""

try:
    import cv2
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "OpenCV is not installed. Install it with pip install 'wisesr_helpers[opencv]'; any package that provides "
        "cv2 from 4.10 on will do, and two of them in one environment break each other.",
        name="cv2",
    ) from None

__all__ = ["cv2"]
