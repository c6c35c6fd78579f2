//! One connection: a stream of frames each way, a length before each.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use salus_audit::ClinicId;
use salus_sync::{Frame, MAX_FRAME_BYTES, MAX_HELLO_BYTES, Violation};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::Timing;
use crate::event::{Ended, Event};

/// The first byte of each direction: the version of the framing. It also makes the stream visible to the one who
/// was dialled, before the one who dialled has anything to say.
const FRAMING: u8 = 1;

/// Frames that were read and not taken in by the engine yet, each link for itself.
const FRAMES_READ_AHEAD: usize = 2;

/// Why this side closes a connection; the other is told by these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Close {
    Bye = 0,
    Unknown = 1,
    Duplicate = 2,
    Misbehaved = 3,
    StoreFailed = 4,
    Version = 5,
    TooOften = 6,
}

impl Close {
    pub(crate) fn close(self, connection: &Connection) {
        connection.close((self as u32).into(), self.reason());
    }

    pub(crate) fn reason(self) -> &'static [u8] {
        match self {
            Self::Bye => b"bye",
            Self::Unknown => b"unknown",
            Self::Duplicate => b"duplicate",
            Self::Misbehaved => b"misbehaved",
            Self::StoreFailed => b"store failed",
            Self::Version => b"version",
            Self::TooOften => b"too often",
        }
    }
}

/// A connection that stands.
pub(crate) struct Link {
    pub id: u64,
    pub connection: Connection,
    /// Whether this side dialled.
    pub dialled: bool,
    pub since: tokio::time::Instant,
    /// Whether both were in step on it.
    pub went_well: bool,
    /// Room for one frame; closed to end the link in order.
    pub frames: mpsc::Sender<Frame>,
}

/// What a link's task needs.
pub(crate) struct Wiring {
    pub clinic: ClinicId,
    pub id: u64,
    pub dialled: bool,
    pub events: UnboundedSender<Event>,
    pub timing: Timing,
}

/// Runs a link to its end, and tells of it.
pub(crate) async fn run(connection: Connection, frames: mpsc::Receiver<Frame>, wiring: Wiring) {
    let closed = async { how(&connection.closed().await) };
    let why = tokio::select! {
        why = exchange(&connection, frames, &wiring) => why,
        why = closed => why,
    };
    let (clinic, link) = (wiring.clinic, wiring.id);
    let _mesh_ended = wiring.events.send(Event::Ended { clinic, link, why });
}

async fn exchange(
    connection: &Connection,
    frames: mpsc::Receiver<Frame>,
    wiring: &Wiring,
) -> Ended {
    let handshake = Duration::from_millis(wiring.timing.handshake_ms);
    let open = async {
        let (mut send, recv) = if wiring.dialled {
            connection.open_bi().await?
        } else {
            connection.accept_bi().await?
        };
        let begun = send.write_all(&[FRAMING]).await;
        Ok::<_, ConnectionError>((send, recv, begun))
    };
    let (send, recv) = match timeout(handshake, open).await {
        Ok(Ok((send, recv, Ok(())))) => (send, recv),
        Ok(Ok((_, _, Err(error)))) => return write_ended(error),
        Ok(Err(error)) => return how(&error),
        Err(_) => return Ended::Misbehaved(Violation::NoHello),
    };
    tokio::select! {
        why = read(recv, connection, wiring) => why,
        why = write(send, frames, connection, wiring) => why,
    }
}

async fn write(
    mut stream: SendStream,
    mut frames: mpsc::Receiver<Frame>,
    connection: &Connection,
    wiring: &Wiring,
) -> Ended {
    while let Some(frame) = frames.recv().await {
        let Ok(len) = u32::try_from(frame.len()) else {
            return Ended::Lost("a frame too large to send".to_owned());
        };
        let written = async {
            stream.write_all(&len.to_be_bytes()).await?;
            stream.write_chunk(frame.into_bytes().into()).await
        };
        if let Err(error) = written.await {
            return write_ended(error);
        }
        let _mesh_ended = wiring.events.send(Event::Writable);
    }
    // The end in order: what was written arrives before the connection is closed.
    if stream.finish().is_ok() {
        let close = Duration::from_millis(wiring.timing.close_ms);
        let _acknowledged = timeout(close, stream.stopped()).await;
    }
    Close::Bye.close(connection);
    Ended::Bye
}

async fn read(mut stream: RecvStream, connection: &Connection, wiring: &Wiring) -> Ended {
    let room = Arc::new(Semaphore::new(FRAMES_READ_AHEAD));
    let mut limit = MAX_HELLO_BYTES;
    let mut framing = [0];
    match stream.read_exact(&mut framing).await {
        Ok(()) if framing == [FRAMING] => {}
        Ok(()) => return Ended::Misbehaved(Violation::Malformed("framing")),
        Err(_) => return finished(connection, wiring).await,
    }
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return Ended::Bye;
        };
        match read_frame(&mut stream, limit, wiring).await {
            Ok(Some(bytes)) => give(bytes, permit, wiring),
            Ok(None) => return finished(connection, wiring).await,
            Err(why) => return why,
        }
        limit = MAX_FRAME_BYTES;
    }
}

fn give(bytes: Vec<u8>, permit: OwnedSemaphorePermit, wiring: &Wiring) {
    let event = Event::Frame {
        clinic: wiring.clinic,
        link: wiring.id,
        bytes,
        permit,
    };
    let _mesh_ended = wiring.events.send(event);
}

/// One frame; none if the stream ended before it. What is allocated grows with what comes, not with what
/// the length claims.
async fn read_frame(
    stream: &mut RecvStream,
    limit: usize,
    wiring: &Wiring,
) -> Result<Option<Vec<u8>>, Ended> {
    let mut head = [0; 4];
    if stream.read_exact(&mut head).await.is_err() {
        return Ok(None);
    }
    let len = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if len == 0 || len > limit {
        return Err(Ended::Misbehaved(Violation::TooMuch("bytes in a frame")));
    }
    let body = async {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            match stream.read_chunk(len - bytes.len()).await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(ReadError::ConnectionLost(error)) => return Err(how(&error)),
                Err(error) => return Err(Ended::Lost(error.to_string())),
            }
        }
        Ok(Some(bytes))
    };
    let limit = Duration::from_millis(wiring.timing.frame_ms);
    match timeout(limit, body).await {
        Ok(read) => read,
        Err(_) => Err(Ended::Misbehaved(Violation::Stalled)),
    }
}

/// The other side's stream is at its end: it says why by closing the connection.
async fn finished(connection: &Connection, wiring: &Wiring) -> Ended {
    let close = Duration::from_millis(wiring.timing.close_ms);
    match timeout(close, connection.closed()).await {
        Ok(error) => how(&error),
        Err(_) => Ended::Bye,
    }
}

fn write_ended(error: WriteError) -> Ended {
    match error {
        WriteError::ConnectionLost(error) => how(&error),
        error => Ended::Lost(error.to_string()),
    }
}

/// What the end of a connection means.
pub(crate) fn how(error: &ConnectionError) -> Ended {
    let ConnectionError::ApplicationClosed(close) = error else {
        return match error {
            ConnectionError::LocallyClosed => Ended::Bye,
            error => Ended::Lost(error.to_string()),
        };
    };
    let code = u64::from(close.error_code);
    let is = |close: Close| code == u64::from(close as u32);
    if is(Close::Bye) {
        Ended::Bye
    } else if is(Close::Unknown) {
        Ended::Refused
    } else if is(Close::Duplicate) {
        Ended::Duplicate
    } else if is(Close::Version) {
        Ended::Version
    } else if is(Close::StoreFailed) {
        Ended::Lost("its store failed".to_owned())
    } else if is(Close::TooOften) {
        Ended::Lost("it was dialled too often".to_owned())
    } else if is(Close::Misbehaved) {
        Ended::Lost("the other side says that this one broke the protocol".to_owned())
    } else {
        // Their words are not repeated: they may be anything.
        Ended::Lost("closed by the other side".to_owned())
    }
}
