//! The two ends of a connection, and noticing that one of them is gone.
//!
//! Owns: telling that nothing more comes from the client, and that nothing more
//! reaches it. Promises: whoever asked is told before the stream's user is. Leaves to
//! others: what follows from it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A reader that says when it has come to its end: rmcp itself would let calls
/// wait on for seconds after their client is gone.
#[derive(Debug)]
pub struct EofNotify<R> {
    inner: R,
    ended: CancellationToken,
}

impl<R> EofNotify<R> {
    /// Fires `ended` when `inner` ends or fails.
    pub fn new(inner: R, ended: CancellationToken) -> Self {
        Self { inner, ended }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for EofNotify<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (room, filled) = (buf.remaining(), buf.filled().len());
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        let is_over = match &polled {
            Poll::Ready(Ok(())) => room > 0 && buf.filled().len() == filled,
            Poll::Ready(Err(error)) => error.kind() != io::ErrorKind::Interrupted,
            Poll::Pending => false,
        };
        if is_over {
            this.ended.cancel();
        }
        polled
    }
}

/// A writer that says when nothing more can be written. rmcp would go on to do what is
/// asked for, such as granting leases whose ids nobody is told.
#[derive(Debug)]
pub(super) struct FailNotify<W> {
    inner: W,
    failed: CancellationToken,
}

impl<W> FailNotify<W> {
    /// Fires `failed` when `inner` fails.
    pub(super) fn new(inner: W, failed: CancellationToken) -> Self {
        Self { inner, failed }
    }

    fn looked_at<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() != io::ErrorKind::Interrupted
            && !self.failed.is_cancelled()
        {
            tracing::warn!(%error, "the client cannot be answered any more");
            self.failed.cancel();
        }
        polled
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for FailNotify<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.looked_at(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.looked_at(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.looked_at(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.looked_at(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
