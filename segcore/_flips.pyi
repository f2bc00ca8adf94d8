import numpy as np

RECORD: np.dtype[np.void]
