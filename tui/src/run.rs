//! The loop: the only place that waits, and the only one that does anything.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::{Stream, StreamExt};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::Backend;
use salus_api::{Auth, Client, Reply, Request};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::desk::Places;
use crate::folder::{self, Sort};
use crate::graphics::{Gallery, Protocol, Raster};
use crate::keys::Key;
use crate::model::{Model, Start};
use crate::msg::{CallId, Effect, Msg, Size};
use crate::picture::Depth;
use crate::scratch::{self, Scratch, Scratches, Viewer};
use crate::terminal::{Guard, at_the_screen};
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;
use crate::when::Clock;

/// Messages of calls that may wait for the loop; a call that finds it full waits, the loop never does.
const MAX_MESSAGES: usize = 256;
/// Messages taken before the screen is drawn again.
const MAX_BATCH: usize = 64;
/// How often time is told.
const TICK: Duration = Duration::from_secs(1);

/// How the UI is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A session that is open already (a demonstration), or what opens one.
    pub auth: Option<Auth>,
    /// Who is likely to sign in.
    pub staff: Option<String>,
    /// A few words about this run that stay on the screen, for instance `demo: clinic A of 2`.
    pub banner: Option<String>,
}

/// Why the UI could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    /// The terminal could not be taken over, drawn on or read from.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
    /// The system's signals could not be listened to.
    #[error("signals cannot be listened to: {0}")]
    Signals(#[source] io::Error),
}

/// Shows the UI until somebody leaves it or the system asks it to end. The terminal is given back on every way out.
pub async fn run(client: Client, options: Options) -> Result<(), TuiError> {
    let signals = signals().map_err(TuiError::Signals)?;
    let env = |name: &str| std::env::var(name).ok();
    let protocol = Protocol::from_env(env);
    let (guard, mut terminal) = Guard::take(protocol).map_err(TuiError::Terminal)?;
    let size = terminal.size().map_err(TuiError::Terminal)?;
    let gallery = Gallery::new(io::stdout(), protocol, std::process::id());
    let start = Start {
        clock: Clock {
            now_ms: now_ms(),
            zone: TimeZone::system(),
        },
        size: Size {
            width: size.width,
            height: size.height,
        },
        theme: Theme::from_env(env),
        depth: Depth::from_env(env),
        raster: raster(&mut terminal, protocol),
        places: Places {
            // Without one the root of the tree is as good a start as any.
            working: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            home: std::env::home_dir(),
        },
        banner: options.banner,
        staff: options.staff,
        auth: options.auth,
    };
    let env = |name: &str| std::env::var_os(name);
    let scratches = Scratches::new(scratch::base(env), Viewer::from_env(env));
    let done = drive(
        &mut terminal,
        EventStream::new(),
        signals,
        now_ms,
        (client, scratches),
        gallery,
        start,
    )
    .await;
    drop(guard);
    done
}

/// One stream of the signals that ask a program to end.
#[cfg(unix)]
fn signals() -> io::Result<impl Stream<Item = ()> + Unpin> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::interrupt(),
    ];
    let mut all = kinds
        .into_iter()
        .map(signal)
        .collect::<io::Result<Vec<_>>>()?;
    Ok(futures_util::stream::poll_fn(move |context| {
        let ready = all
            .iter_mut()
            .map(|s| s.poll_recv(context))
            .find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    }))
}

/// One stream of the signals that ask a program to end.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Stream<Item = ()> + Unpin> {
    Ok(Box::pin(futures_util::stream::unfold((), |()| async {
        tokio::signal::ctrl_c().await.ok().map(|()| ((), ()))
    })))
}

/// Milliseconds since 1970-01-01 UTC.
fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The loop, over any terminal, any source of keys and any clock.
async fn drive<B>(
    terminal: &mut Terminal<B>,
    mut events: impl Stream<Item = io::Result<TerminalEvent>> + Unpin,
    mut signals: impl Stream<Item = ()> + Unpin,
    now_ms: impl Fn() -> u64,
    (client, scratches): (Client, Scratches),
    mut gallery: Gallery<impl Write>,
    start: Start,
) -> Result<(), TuiError>
where
    B: Backend,
    B::Error: Send + Sync + 'static,
{
    let (sender, mut messages) = mpsc::channel(MAX_MESSAGES);
    let mut tasks = Tasks {
        client,
        sender,
        calls: HashMap::new(),
        stream: None,
        scratches,
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut model, effects) = at_the_screen(|| Model::new(start));
    let mut go_on = tasks.perform(effects);
    while go_on {
        let mut pictures = Vec::new();
        let drawn = at_the_screen(|| {
            let drawn = terminal.draw(|frame| pictures = view(&model, frame));
            drawn.map(|frame| frame.area.as_size())
        });
        let screen = drawn.map_err(|e| TuiError::Terminal(io::Error::other(e)))?;
        at_the_screen(|| gallery.show(screen, pictures)).map_err(TuiError::Terminal)?;
        let mut next = tokio::select! {
            biased;
            signal = signals.next() => signal.map(|()| Msg::Terminate),
            event = events.next() => match event {
                Some(Ok(event)) => message(event),
                Some(Err(e)) => return Err(TuiError::Terminal(e)),
                // Nobody can press a key any more: the terminal is gone.
                None => Some(Msg::Terminate),
            },
            message = messages.recv() => message,
            _ = ticks.tick() => Some(Msg::Tick { now_ms: now_ms() }),
        };
        // What has come meanwhile is taken before drawing: a burst of changes is drawn once.
        for _ in 0..MAX_BATCH {
            let Some(msg) = next.take() else { break };
            if let Msg::Answer(call, _) = &msg {
                tasks.calls.remove(call);
            }
            let is_resize = matches!(msg, Msg::Resize(_));
            let mut effects = at_the_screen(|| update(&mut model, msg));
            if is_resize {
                let raster = raster(terminal, gallery.protocol());
                effects.extend(at_the_screen(|| update(&mut model, Msg::Raster(raster))));
            }
            go_on = tasks.perform(effects);
            if !go_on {
                break;
            }
            next = messages.try_recv().ok();
        }
    }
    Ok(())
}

/// The terminal's own pixels, as it says now; none where it does not say.
fn raster<B: Backend>(terminal: &mut Terminal<B>, protocol: Option<Protocol>) -> Option<Raster> {
    protocol?;
    Raster::new(protocol, terminal.backend_mut().window_size().ok()?)
}

/// A terminal's event as a message.
fn message(event: TerminalEvent) -> Option<Msg> {
    match event {
        TerminalEvent::Key(key) => Key::from_event(key).map(Msg::Key),
        TerminalEvent::Paste(text) => Some(Msg::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Msg::Resize(Size { width, height })),
        TerminalEvent::FocusGained | TerminalEvent::FocusLost | TerminalEvent::Mouse(_) => None,
    }
}

/// The calls under way, each a task of its own.
struct Tasks {
    client: Client,
    sender: mpsc::Sender<Msg>,
    calls: HashMap<CallId, AbortHandle>,
    stream: Option<AbortHandle>,
    scratches: Scratches,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for (_, call) in self.calls.drain() {
            call.abort();
        }
        self.hang_up();
        self.scratches.wipe_all();
    }
}

impl Tasks {
    /// Does what the model asked for, without waiting for any of it. Returns whether to go on.
    fn perform(&mut self, effects: Vec<Effect>) -> bool {
        for effect in effects {
            match effect {
                Effect::Call {
                    call,
                    auth,
                    request,
                } => {
                    let task = ask(
                        self.client.clone(),
                        self.sender.clone(),
                        call,
                        auth,
                        request,
                    );
                    self.calls.insert(call, tokio::spawn(task).abort_handle());
                }
                Effect::ReadFolder { call, folder, sort } => {
                    look_into(&self.sender, call, folder, sort);
                }
                Effect::MakeScratch { call, ending } => {
                    let scratches = self.scratches.clone();
                    let make = move |tell: &dyn Fn(Scratch)| tell(scratches.prepare(ending));
                    beside(&self.sender, call, make);
                }
                Effect::ShowScratch { call, file } => {
                    let scratches = self.scratches.clone();
                    let show = move |tell: &dyn Fn(Scratch)| scratches.show(&file, tell);
                    beside(&self.sender, call, show);
                }
                Effect::LeaveScratch(file) => {
                    let scratches = self.scratches.clone();
                    // Where there is no thread for it, it is wiped when the UI ends.
                    drop(std::thread::Builder::new().spawn(move || scratches.leave(&file)));
                }
                Effect::Cancel(call) => {
                    if let Some(task) = self.calls.remove(&call) {
                        task.abort();
                    }
                }
                Effect::Subscribe { call, auth } => {
                    self.hang_up();
                    let task = listen(self.client.clone(), self.sender.clone(), call, auth);
                    self.stream = Some(tokio::spawn(task).abort_handle());
                }
                Effect::Unsubscribe => self.hang_up(),
                Effect::Quit => return false,
            }
        }
        true
    }

    fn hang_up(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
    }
}

/// One call to the node, from the question to the end.
async fn ask(
    client: Client,
    sender: mpsc::Sender<Msg>,
    call: CallId,
    auth: Auth,
    request: Request,
) {
    // Progress that finds the loop busy is left out: the next one says more.
    let progress = |step| drop(sender.try_send(Msg::Progress(call, step)));
    let answer = client.call_with(auth, request, progress).await;
    // Nobody listens only when the loop has ended.
    drop(sender.send(Msg::Answer(call, answer)).await);
}

/// Reads a folder on a thread of its own, and not on one of the runtime's: those are waited for at the end, and a disk that
/// is gone would hold up the end of the program.
fn look_into(sender: &mpsc::Sender<Msg>, call: CallId, folder: PathBuf, sort: Sort) {
    let told = sender.clone();
    let read = move || drop(told.blocking_send(Msg::Folder(call, folder::read(&folder, sort))));
    if let Err(error) = std::thread::Builder::new().spawn(read) {
        let problem = format!("The folder cannot be read: {error}.");
        // A loop that is so busy shows no list; the next key asks for it anew.
        drop(sender.try_send(Msg::Folder(call, Err(problem))));
    }
}

/// Works on a file for another program, on a thread of its own for the same reason; each turn is told.
fn beside(
    sender: &mpsc::Sender<Msg>,
    call: CallId,
    work: impl FnOnce(&dyn Fn(Scratch)) + Send + 'static,
) {
    let told = sender.clone();
    let tell = move |scratch| drop(told.blocking_send(Msg::Scratch(call, scratch)));
    if let Err(error) = std::thread::Builder::new().spawn(move || work(&tell)) {
        let problem = Scratch::Failed(format!("Nothing can be shown now: {error}."));
        drop(sender.try_send(Msg::Scratch(call, problem)));
    }
}

/// The stream of changes, until the node ends it.
async fn listen(client: Client, sender: mpsc::Sender<Msg>, call: CallId, auth: Auth) {
    let ended = match client.open(auth, Request::Subscribe).await {
        Err(error) => Some(error),
        Ok(mut replies) => loop {
            match replies.recv().await {
                Some(Reply::Event(event)) => {
                    if sender.send(Msg::Event(call, event)).await.is_err() {
                        return;
                    }
                }
                Some(Reply::Progress(_)) => {}
                Some(Reply::Done(end)) => break end.err(),
                None => break None,
            }
        },
    };
    drop(sender.send(Msg::StreamEnded(call, ended)).await);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use ratatui::backend::TestBackend;
    use salus_api::{Envelope, SessionToken};

    use super::*;
    use crate::fixtures::{NOW_MS, files};
    use crate::testing::FakeNode;

    type Keys = mpsc::Sender<io::Result<TerminalEvent>>;

    fn stream<T>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Unpin {
        Box::pin(futures_util::stream::unfold(
            receiver,
            |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) },
        ))
    }

    fn scratches() -> Scratches {
        Scratches::new(std::env::temp_dir(), Err("nothing shows files here".into()))
    }

    fn blocks() -> Gallery<io::Sink> {
        Gallery::new(io::sink(), None, 1)
    }

    fn start() -> Start {
        Start {
            clock: Clock {
                now_ms: NOW_MS,
                zone: TimeZone::UTC,
            },
            size: Size {
                width: 80,
                height: 24,
            },
            theme: Theme::Plain,
            depth: Depth::Full,
            raster: None,
            places: Places::default(),
            banner: None,
            staff: None,
            auth: Some(Auth::Session(SessionToken::new("token".into()))),
        }
    }

    async fn press(keys: &Keys, text: &str) {
        for c in text.chars() {
            let event = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
            keys.send(Ok(TerminalEvent::Key(event))).await.unwrap();
        }
    }

    async fn quit(keys: &Keys) {
        let event = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::CONTROL);
        keys.send(Ok(TerminalEvent::Key(event))).await.unwrap();
    }

    fn seen(terminal: &Terminal<TestBackend>) -> String {
        terminal.backend().to_string()
    }

    /// A node that answers, and tells which searches it was asked.
    async fn answers(mut calls: mpsc::Receiver<Envelope>, searches: mpsc::Sender<String>) {
        let mut node = FakeNode::new();
        node.state = salus_api::LockState::Unlocked;
        node.record.attachments = files();
        let open = Arc::new(Mutex::new(Vec::new()));
        while let Some(Envelope { call, replies }) = calls.recv().await {
            if call.request == Request::Subscribe {
                open.lock().unwrap().push(replies);
                continue;
            }
            let search = match &call.request {
                Request::PatientFind { text, .. } => Some(text.clone()),
                _ => None,
            };
            let answer = node.answer(&call.auth, call.request);
            // The face may have hung up.
            drop(replies.send(Reply::Done(answer)).await);
            if let Some(text) = search {
                drop(searches.send(text).await);
            }
        }
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn a_file_for_another_program_is_gone_when_the_ui_ends() {
        let viewer = Viewer::from_env(|name| match name {
            "SALUS_VIEWER" => Some("true".into()),
            name => std::env::var_os(name),
        });
        let scratches = Scratches::new(std::env::temp_dir(), viewer);
        let (client, _node) = salus_api::channel();
        let (sender, mut messages) = mpsc::channel(4);
        let mut tasks = Tasks {
            client,
            sender,
            calls: HashMap::new(),
            stream: None,
            scratches: scratches.handed_on_within(Duration::MAX),
        };
        let call = CallId(7);
        let ending = "png";
        assert!(tasks.perform(vec![Effect::MakeScratch { call, ending }]));
        let Some(Msg::Scratch(CallId(7), Scratch::Ready(file))) = messages.recv().await else {
            panic!("no place for a file")
        };
        std::fs::write(&file, b"a picture").unwrap();
        let show = Effect::ShowScratch {
            call,
            file: file.clone(),
        };
        assert!(tasks.perform(vec![show]));
        for turn in [Scratch::Shown, Scratch::HandedOn] {
            let told = messages.recv().await;
            assert!(matches!(told, Some(Msg::Scratch(_, told)) if told == turn));
        }
        assert!(file.exists());
        drop(tasks);
        assert!(!file.exists() && file.parent().is_some_and(|folder| !folder.exists()));
    }

    #[tokio::test]
    async fn keys_reach_the_node_and_its_answers_reach_the_screen() {
        let (client, calls) = salus_api::channel();
        let (searches, mut searched) = mpsc::channel(64);
        tokio::spawn(answers(calls, searches));
        let (keys, events) = mpsc::channel(64);
        let (_signal, signals) = mpsc::channel(1);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let hand = async {
            press(&keys, "lind").await;
            while searched.recv().await.is_some_and(|text| text != "lind") {}
            // The answer is under way; one more key that changes nothing lets it be drawn.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            quit(&keys).await;
        };
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client, scratches()),
            blocks(),
            start(),
        );
        let (done, ()) = tokio::join!(driven, hand);
        done.unwrap();
        assert!(
            seen(&terminal).contains("Lindqvist, Sven"),
            "{}",
            seen(&terminal)
        );
    }

    /// What is written, to be read while it still is.
    #[derive(Clone, Default)]
    struct Tape(Arc<Mutex<Vec<u8>>>);

    impl Tape {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_resize_measures_the_pixels_anew_and_pictures_are_drawn_in_them() {
        let (client, calls) = salus_api::channel();
        let (searches, mut searched) = mpsc::channel(64);
        tokio::spawn(answers(calls, searches));
        tokio::spawn(async move { while searched.recv().await.is_some() {} });
        let (keys, events) = mpsc::channel(64);
        let (_signal, signals) = mpsc::channel(1);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let tape = Tape::default();
        let gallery = Gallery::new(tape.clone(), Some(Protocol::Kitty), 1);
        let start = Start {
            theme: Theme::Dark,
            ..start()
        };
        let settle = || async {
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
        };
        let hand = async {
            for part in ["oka amara", "\n", "-", "jjj", "\n"] {
                settle().await;
                match part {
                    "\n" => {
                        let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
                        keys.send(Ok(TerminalEvent::Key(enter))).await.unwrap();
                    }
                    text => press(&keys, text).await,
                }
            }
            settle().await;
            let before = tape.text();
            keys.send(Ok(TerminalEvent::Resize(80, 24))).await.unwrap();
            settle().await;
            quit(&keys).await;
            before
        };
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client, scratches()),
            gallery,
            start,
        );
        let (done, before) = tokio::join!(driven, hand);
        done.unwrap();
        assert_eq!(before, "", "the terminal had no pixels");
        let text = tape.text();
        assert_eq!(
            text.matches("\x1b_Ga=t,f=24").count(),
            1,
            "{}",
            seen(&terminal)
        );
        assert_eq!(text.matches("\x1b_Ga=p").count(), 1);
    }

    #[test]
    fn the_ui_can_be_spawned() {
        fn sent<T: Send>(_: T) {}
        let (client, _calls) = salus_api::channel();
        sent(run(client, Options::default()));
    }

    #[tokio::test]
    async fn a_node_that_never_answers_blocks_nothing() {
        let (client, _calls) = salus_api::channel();
        let (keys, events) = mpsc::channel(1_000);
        let (_signal, signals) = mpsc::channel(1);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        // More searches than the node's queue holds.
        press(&keys, &"ab".repeat(100)).await;
        quit(&keys).await;
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client, scratches()),
            blocks(),
            start(),
        );
        driven.await.unwrap();
        assert!(seen(&terminal).contains("ababab"));
    }

    #[tokio::test]
    async fn a_node_that_is_gone_is_said_and_one_can_leave() {
        let (client, calls) = salus_api::channel();
        drop(calls);
        let (keys, events) = mpsc::channel(8);
        let (_signal, signals) = mpsc::channel(1);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let hand = async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            quit(&keys).await;
        };
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client, scratches()),
            blocks(),
            start(),
        );
        let (done, ()) = tokio::join!(driven, hand);
        done.unwrap();
        assert!(seen(&terminal).contains("no answer"), "{}", seen(&terminal));
    }

    #[tokio::test]
    async fn a_signal_or_the_end_of_the_terminal_ends_the_loop() {
        let (client, _calls) = salus_api::channel();
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let (_keys, events) = mpsc::channel(1);
        let (signal, signals) = mpsc::channel(1);
        signal.send(()).await.unwrap();
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client.clone(), scratches()),
            blocks(),
            start(),
        );
        driven.await.unwrap();

        let (keys, events) = mpsc::channel(1);
        let (_signal, signals) = mpsc::channel(1);
        drop(keys);
        let driven = drive(
            &mut terminal,
            stream(events),
            stream(signals),
            || NOW_MS,
            (client, scratches()),
            blocks(),
            start(),
        );
        driven.await.unwrap();
    }

    /// The UI on a real terminal with made-up people, to look at:
    /// `cargo test -p salus-tui by_hand -- --ignored --nocapture` (passphrase: `correct horse`).
    #[tokio::test]
    #[ignore = "for people"]
    async fn by_hand() {
        let (client, calls) = salus_api::channel();
        let (searches, mut searched) = mpsc::channel(64);
        tokio::spawn(answers(calls, searches));
        tokio::spawn(async move { while searched.recv().await.is_some() {} });
        let auth = Some(Auth::Session(SessionToken::new("token".into())));
        let banner = Some("made-up people".to_owned());
        run(
            client,
            Options {
                auth,
                staff: None,
                banner,
            },
        )
        .await
        .unwrap();
    }
}
