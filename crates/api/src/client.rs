//! The handle to a node, wherever the node is.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::ApiError;
use crate::request::{Auth, Request};
use crate::response::Response;

/// Calls that may wait for the node to take them up. A guess: a face has one or two in flight.
const MAX_CALLS_WAITING: usize = 64;
/// Replies that may wait for the caller to read them; a node that finds it full waits with that call only.
const MAX_REPLIES_WAITING: usize = 64;

/// One question and who asks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Who asks.
    pub auth: Auth,
    /// What.
    pub request: Request,
}

/// How far a long call has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, for a person.
    pub what: String,
    /// Done so far, in the units of `total`.
    pub done: u64,
    /// All there is to do; 0 where not known.
    pub total: u64,
}

/// Something changed that a screen may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// These records changed, here or by sync.
    PatientsChanged(Vec<String>),
    /// A clinic connected, left, or came into step.
    PeersChanged,
    /// The node was locked.
    Locked,
}

/// What comes back for one call: any number of `Progress` and `Event`, then one `Done`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How far it has come.
    Progress(Progress),
    /// Something changed (`Request::Subscribe` only).
    Event(Event),
    /// The end of the call.
    Done(Result<Response, ApiError>),
}

/// A call on its way to the node, with the way back.
#[derive(Debug)]
pub struct Envelope {
    /// The call.
    pub call: Call,
    /// Where the replies go. When its receiver is gone the caller has hung up.
    pub replies: mpsc::Sender<Reply>,
}

/// The handle to a node. Cheap to clone; all clones reach the same node.
#[derive(Clone, Debug)]
pub struct Client {
    calls: mpsc::Sender<Envelope>,
}

/// A handle and the node's end of it.
pub fn channel() -> (Client, mpsc::Receiver<Envelope>) {
    let (calls, node) = mpsc::channel(MAX_CALLS_WAITING);
    (Client { calls }, node)
}

impl Client {
    /// Asks, and waits for the answer.
    pub async fn call(&self, auth: Auth, request: Request) -> Result<Response, ApiError> {
        self.call_with(auth, request, |_| {}).await
    }

    /// Asks, hears how far it has come, and waits for the answer.
    pub async fn call_with(
        &self,
        auth: Auth,
        request: Request,
        mut progress: impl FnMut(Progress),
    ) -> Result<Response, ApiError> {
        let mut replies = self.open(auth, request).await?;
        while let Some(reply) = replies.recv().await {
            match reply {
                Reply::Progress(step) => progress(step),
                Reply::Event(_) => {}
                Reply::Done(answer) => return answer,
            }
        }
        Err(gone())
    }

    /// Asks and hands back the replies as they come. Dropping the receiver hangs up.
    pub async fn open(
        &self,
        auth: Auth,
        request: Request,
    ) -> Result<mpsc::Receiver<Reply>, ApiError> {
        let (replies, receiver) = mpsc::channel(MAX_REPLIES_WAITING);
        let envelope = Envelope {
            call: Call { auth, request },
            replies,
        };
        self.calls.send(envelope).await.map_err(|_| gone())?;
        Ok(receiver)
    }
}

fn gone() -> ApiError {
    ApiError::failed("the node went away before it answered")
        .hint("start it again with `salus node`, or run the command without a daemon")
}
