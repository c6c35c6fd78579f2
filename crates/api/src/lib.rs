//! The client API of a clinic's node: all that the command line and the terminal UI know of it.
//!
//! One enum, [`Request`], names everything that can be asked; [`Response`] everything that can be answered;
//! [`ApiError`] everything that can go wrong, each with a hint and an exit code. One handle, [`Client`], carries
//! calls, whether the node lives in this process or behind a connection to a daemon: the two ends of
//! the handle are [`Client`] and the receiver that [`channel`] returns, and what stands between them is
//! nobody's business here.
//!
//! Not here: any knowledge of logs, keys or the store. A face that needs more asks a new question.
//!
//! Invariants: a response never carries a key or a passphrase; every text that came from elsewhere is raw and must
//! be escaped by the face that shows it; times are milliseconds since 1970-01-01 UTC as the writer claimed.

mod attachment;
mod client;
mod error;
mod forms;
mod picture;
mod request;
mod response;
mod secret;
mod suggestion;

pub use attachment::{AttachedView, AttachmentView, FetchedView, PreviewView};
pub use client::{Call, Client, Envelope, Event, Progress, Reply, channel};
pub use error::{ApiError, ErrorKind};
pub use forms::blood_pressure;
pub use picture::{ClassifiedView, PictureView};
pub use request::{Auth, ExportFormat, NewPatient, Request, Right, Role, Stoppable};
pub use response::{
    AtView, AuditRow, ClinicView, ConcernView, ConcernWriter, ConflictChoice, ConflictView,
    ConflictsView, DoctorFinding, DoctorReport, DuplicateView, GrantView, HeightView, ImportReport,
    LockState, NetworkMode, PatientRow, PatientView, PeerView, Problem, Response, StaffView,
    Status, SyncReport, VerifyReport,
};
pub use salus_record as record;
pub use secret::{Passphrase, SessionToken};
pub use suggestion::{
    ImageView, ImagesView, Inference, InferenceOutput, InputName, ModelName, SuggestionState,
    SuggestionView, SuggestionsView, VerdictView,
};
