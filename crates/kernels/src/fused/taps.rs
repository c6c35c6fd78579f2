//! Where the taps of a 3x3 convolution fall.

use crate::same::same;

/// Where the taps of a 3x3 convolution fall on a map, under TensorFlow's "SAME" padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub out_height: usize,
    pub out_width: usize,
    stride: usize,
    top: usize,
    left: usize,
}

impl Taps {
    pub fn new(height: usize, width: usize, channels: usize, stride: usize) -> Self {
        let ((top, out_height), (left, out_width)) = (same(height, stride), same(width, stride));
        Taps {
            height,
            width,
            channels,
            out_height,
            out_width,
            stride,
            top,
            left,
        }
    }

    /// Values of one image's input.
    pub fn in_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of one image's output.
    pub fn out_len(&self) -> usize {
        self.out_height * self.out_width * self.channels
    }

    /// The taps of the output at (`y`, `x`) that lie on the map: tap 0 to 8 and input pixel. The count comes second.
    #[inline(always)]
    pub fn reads(&self, y: usize, x: usize) -> ([(usize, usize); 9], usize) {
        let mut found = [(0, 0); 9];
        let mut count = 0;
        for i in 0..3 {
            let row = (y * self.stride + i).wrapping_sub(self.top);
            if row >= self.height {
                continue;
            }
            for j in 0..3 {
                let column = (x * self.stride + j).wrapping_sub(self.left);
                if column < self.width {
                    found[count] = (i * 3 + j, row * self.width + column);
                    count += 1;
                }
            }
        }
        (found, count)
    }

    /// The outputs that the input at (`y`, `x`) goes into: tap 0 to 8 and output pixel. The count comes second.
    #[inline(always)]
    pub fn feeds(&self, y: usize, x: usize) -> ([(usize, usize); 9], usize) {
        let mut found = [(0, 0); 9];
        let mut count = 0;
        for i in 0..3 {
            let row = (y + self.top).wrapping_sub(i);
            if row >= self.out_height * self.stride || !row.is_multiple_of(self.stride) {
                continue;
            }
            for j in 0..3 {
                let column = (x + self.left).wrapping_sub(j);
                if column < self.out_width * self.stride && column.is_multiple_of(self.stride) {
                    let pixel = row / self.stride * self.out_width + column / self.stride;
                    found[count] = (i * 3 + j, pixel);
                    count += 1;
                }
            }
        }
        (found, count)
    }
}
