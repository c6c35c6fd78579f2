//! SIGINT and SIGTERM, as something to wait for.

use std::future::Future;

use salus_api::ApiError;

use super::exit::Stop;

/// Listens from when it is made, so that no signal falls between two waits.
pub struct Interrupt {
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
}

impl Interrupt {
    /// Starts to listen.
    pub fn listen() -> Result<Self, ApiError> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| {
                signal(kind)
                    .map_err(|e| ApiError::failed(format!("could not listen for signals: {e}")))
            };
            Ok(Self {
                int: listen(SignalKind::interrupt())?,
                term: listen(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Returns when a signal has come.
    async fn came(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the work, or drops it where it stands when a signal comes. The caller closes what it opened.
    pub async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.came() => Err(Stop::Interrupted),
            done = work => Ok(done),
        }
    }
}
