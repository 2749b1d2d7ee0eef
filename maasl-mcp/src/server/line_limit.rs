//! A bound on the lines of a stream.
//!
//! Owns: counting bytes since the last line break. Promises: a line that is longer
//! than allowed ends the stream with an error, and whoever asked is told; nothing is
//! kept in memory. Leaves to others: what lines say, and closing the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A reader whose lines are bounded.
#[derive(Debug)]
pub(crate) struct LineLimit<R> {
    inner: R,
    most: usize,
    /// Bytes of the line that is being read.
    length: usize,
    too_long: CancellationToken,
}

impl<R> LineLimit<R> {
    /// Fires `too_long` when a line of `inner` has more than `most` bytes, its break
    /// included.
    pub(crate) fn new(inner: R, most: usize, too_long: CancellationToken) -> Self {
        Self {
            inner,
            most,
            length: 0,
            too_long,
        }
    }

    fn count(&mut self, bytes: &[u8]) -> bool {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.length = self.length.saturating_add(line.len());
            if self.length > self.most {
                return false;
            }
            if line.ends_with(b"\n") {
                self.length = 0;
            }
        }
        true
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for LineLimit<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if !matches!(polled, Poll::Ready(Ok(()))) || this.count(&buf.filled()[before..]) {
            return polled;
        }
        buf.set_filled(before);
        this.too_long.cancel();
        let message = format!("a line has more than {} bytes", this.most);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    async fn read(input: &[u8], most: usize) -> (io::Result<usize>, bool) {
        let too_long = CancellationToken::new();
        let mut reader = LineLimit::new(input, most, too_long.clone());
        let mut all = Vec::new();
        let read = reader.read_to_end(&mut all).await;
        (read, too_long.is_cancelled())
    }

    #[tokio::test]
    async fn a_line_at_the_limit_is_read_and_a_longer_one_is_not() {
        for fine in [&b"1234\n1234\n"[..], b"12345", b"\n\n\n\n\n\n\n", b""] {
            let (read, is_too_long) = read(fine, 5).await;
            assert_eq!((read.unwrap(), is_too_long), (fine.len(), false));
        }
        for long in [&b"123456"[..], b"1\n12345\n", b"12345\n"] {
            let (read, is_too_long) = read(long, 5).await;
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert!(is_too_long);
        }
    }
}
