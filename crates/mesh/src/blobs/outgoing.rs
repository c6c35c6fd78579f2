//! What goes out to a peer that asked for a blob: at a rate, while it may have it, and while it takes it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::VarInt;
use tokio::time::timeout;

use super::limit::RateLimit;
use super::serve::{Code, Permission};

/// After so many bytes it is asked again whether the peer may have them.
const ASK_AGAIN_BYTES: usize = 8 * 1024 * 1024;

/// The stream to a peer.
pub(crate) struct Outgoing {
    pub stream: iroh::endpoint::SendStream,
    pub limit: RateLimit,
    pub permission: Permission,
    /// How long the peer may take nothing.
    pub stall: Duration,
    pub since_asked: usize,
    pub withdrawn: bool,
    /// Whether something of it has gone out.
    pub begun: bool,
}

impl Outgoing {
    async fn may_pass(&mut self, bytes: usize) -> io::Result<()> {
        self.begun = true;
        self.since_asked += bytes;
        if self.since_asked >= ASK_AGAIN_BYTES {
            self.since_asked = 0;
            if !self.permission.holds().await {
                self.withdrawn = true;
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        self.limit.pass(bytes).await;
        Ok(())
    }
}

async fn in_time(
    stall: Duration,
    write: impl Future<Output = Result<(), iroh::endpoint::WriteError>>,
) -> io::Result<()> {
    match timeout(stall, write).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl iroh_blobs::util::SendStream for Outgoing {
    async fn send_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.may_pass(bytes.len()).await?;
        in_time(self.stall, self.stream.write_chunk(bytes)).await
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.may_pass(bytes.len()).await?;
        in_time(self.stall, self.stream.write_all(bytes)).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self, code: VarInt) -> io::Result<()> {
        if self.withdrawn {
            return Ok(self.stream.reset(Code::NotFound.into())?);
        }
        // Who holds a part ends there: a reset would take back what is on its way, too.
        if self.begun && code == Code::Incomplete.into() {
            return Ok(self.stream.finish()?);
        }
        Ok(self.stream.reset(code)?)
    }

    async fn stopped(&mut self) -> io::Result<Option<VarInt>> {
        Ok(self.stream.stopped().await?)
    }

    fn id(&self) -> u64 {
        self.stream.id().index()
    }
}
