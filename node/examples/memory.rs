//! How much a node's memory grows while it is given large and hostile files, and what the process takes that looks into them:
//! `cargo run --release -p salus --example memory`. Linux only: it reads `/proc`.
//!
//! A node in this process, a clinic in a temporary folder, 2.5 GB of room. Each line is one request: the most that this process had
//! above what it had before (`VmHWM`, set back by `clear_refs`), what it kept, and the most of its children together, sampled.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use salus::folder::Folder;
use salus::node::NodeOptions;
use salus::setup::{InitOptions, init};
use salus::{hostile, service};
use salus_api::{
    ApiError, Auth, Client, NetworkMode, NewPatient, Passphrase, Request, Response, Role,
};
use salus_media::test_files::{Dicom, EXPLICIT, flac_silence, wav_of};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
/// How often children are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    if let Some(code) = hostile::serve_if_worker() {
        return code;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A number of KiB in `/proc/.../status` (proc_pid_status(5)).
fn kib(status: &Path, name: &str) -> u64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn own(name: &str) -> u64 {
    kib(Path::new("/proc/self/status"), name)
}

/// Memory of this process's children, together.
fn children() -> u64 {
    let me = u64::from(std::process::id());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = processes.map(|process| process.path().join("status"));
    statuses
        .filter(|status| kib(status, "PPid") == me)
        .map(|status| kib(&status, "VmRSS"))
        .sum()
}

/// Does something and prints what it took.
#[expect(clippy::print_stdout, reason = "its only purpose")]
async fn line<T>(
    what: &str,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<Option<T>, ApiError> {
    let failed = |error: io::Error| ApiError::failed(format!("/proc: {error}"));
    // 5: the peak is set back to what there is (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").map_err(failed)?;
    let before = own("VmRSS");
    let (most, done) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let watch = {
        let (most, done) = (Arc::clone(&most), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(children(), Ordering::Relaxed);
                std::thread::sleep(SAMPLE_EVERY);
            }
        })
    };
    let began = Instant::now();
    let outcome = work.await;
    let took = began.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    let _ = watch.join();
    let rise = |kib: u64| kib.saturating_sub(before) / 1_024;
    println!(
        "{what:<48} +{:>3} MiB  kept {:>3} MiB  children {:>3} MiB {took:>6.1} s  {}",
        rise(own("VmHWM")),
        rise(own("VmRSS")),
        most.load(Ordering::Relaxed) / 1_024,
        match &outcome {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.message.clone(),
        }
    );
    Ok(outcome.ok())
}

/// A CT of so many frames of 512 x 512 samples of 16 bits, for a patient who is registered.
fn ct(frames: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..=255)
        .cycle()
        .take(512 * 512 * 2 * usize::from(frames))
        .collect();
    Dicom::patient(EXPLICIT, CT)
        .short(0x0028_0002, 1)
        .text(0x0028_0004, "CS", "MONOCHROME2")
        .text(0x0028_0008, "IS", &frames.to_string())
        .short(0x0028_0010, 512)
        .short(0x0028_0011, 512)
        .short(0x0028_0100, 16)
        .short(0x0028_0101, 16)
        .short(0x0028_0102, 15)
        .short(0x0028_0103, 0)
        .element(0x7fe0_0010, "OW", &samples)
        .file()
}

fn deflated(zeros: u64) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = io::copy(&mut io::repeat(0).take(zeros), &mut out);
    out.finish().unwrap_or_default()
}

/// A PNG of grey zeros whose header says these sides, and whose data are `rows` of them.
fn png(side: u32, rows: u32) -> Vec<u8> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = u64::from(rows) * (u64::from(side) + 1);
    let _ = io::copy(&mut io::repeat(0).take(zeros), &mut packed);
    let header = [
        &side.to_be_bytes()[..],
        &side.to_be_bytes(),
        &[8, 0, 0, 0, 0],
    ]
    .concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [
        (b"IHDR", header),
        (b"IDAT", packed.finish().unwrap_or_default()),
        (b"IEND", Vec::new()),
    ] {
        let mut sum = flate2::Crc::new();
        sum.update(name);
        sum.update(&data);
        file.extend(u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
        file.extend(name);
        file.extend(data);
        file.extend(sum.sum().to_be_bytes());
    }
    file
}

/// A grey JPEG (ITU-T T.81) of zeros: each block of 8 x 8 takes two bits, by codes of one bit each.
fn jpeg(side: u16, said: u16) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    file.extend([1; 64]);
    file.extend([0xff, 0xc0, 0, 11, 8]);
    file.extend(said.to_be_bytes());
    file.extend(said.to_be_bytes());
    file.extend([1, 1, 0x11, 0]);
    for class in [0x00, 0x10] {
        file.extend([0xff, 0xc4, 0, 20, class, 1]);
        file.extend([0; 15]);
        file.push(0);
    }
    file.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    let blocks = u64::from(side.div_ceil(8)).pow(2);
    file.resize(file.len() + usize::try_from(blocks / 4).unwrap_or(0), 0);
    file.extend([0xff, 0xd9]);
    file
}

/// The files and what they are.
fn files(folder: &Path) -> io::Result<Vec<(&'static str, PathBuf)>> {
    let mut files = Vec::new();
    let mut add = |what: &'static str, bytes: &[u8]| {
        let path = folder.join(format!("{}.bin", files.len()));
        std::fs::write(&path, bytes)?;
        files.push((what, path));
        Ok::<(), io::Error>(())
    };
    let mut scan = ct(240);
    add("DICOM, 240 frames, 120 MiB", &scan)?;
    add("the same without its last MiB", &scan[..119 << 20])?;
    for (n, byte) in scan.iter_mut().enumerate().skip(500) {
        *byte = n.wrapping_mul(0x9e37_79b9).to_be_bytes()[4];
    }
    add("the same with rubbish behind 500 bytes", &scan)?;
    drop(scan);
    let bomb = Dicom::patient(DEFLATED, CT).file_with(&deflated(1 << 30));
    add("DICOM that inflates to 1 GiB", &bomb)?;
    add("PNG of 65,000 x 65,000 zeros", &png(65_000, 65_000))?;
    add("PNG of 5,792 x 5,792 zeros", &png(5_792, 5_792))?;
    add("JPEG that says 65,500 x 65,500", &jpeg(5_792, 65_500))?;
    add("JPEG of 5,792 x 5,792 zeros", &jpeg(5_792, 5_792))?;
    add("FLAC of 8 hours of silence", &flac_silence(21_000))?;
    add("FLAC of 20 hours of silence", &flac_silence(55_000))?;
    let path = folder.join("sound.wav");
    let mut file = std::fs::File::create(&path)?;
    let data: u32 = 1 << 30;
    let mut head = wav_of(1, 2, 48_000, 16, &[]);
    head[4..8].copy_from_slice(&(data + 36).to_le_bytes());
    head[40..44].copy_from_slice(&data.to_le_bytes());
    file.write_all(&head)?;
    file.seek(SeekFrom::Start(u64::from(data) + 43))?;
    file.write_all(&[0])?;
    files.push(("WAV of 1 GiB", path));
    Ok(files)
}

/// A clinic's node in this process, with somebody at work.
async fn clinic(folder: PathBuf) -> Result<(Client, Auth), ApiError> {
    let passphrase = Passphrase::new("of a measurement".to_owned());
    init(InitOptions {
        data_dir: folder.clone(),
        clinic: "Measured".to_owned(),
        staff: "Measuring".to_owned(),
        role: Role::Physician,
        passphrase: passphrase.clone(),
        network: NetworkMode::Loopback,
        test_kdf: true,
    })?;
    let folder = Folder::new(folder);
    let held = folder
        .lock()?
        .ok_or_else(|| ApiError::failed("the folder is in use"))?;
    let (_, client) = service::open(folder, held, NodeOptions::in_process(true, false))?;
    let auth = Auth::Passphrase {
        staff: None,
        passphrase,
    };
    match client.call(auth, Request::Unlock).await? {
        Response::Unlocked { session, .. } => Ok((client, Auth::Session(session))),
        _ => Err(ApiError::failed("the node did not unlock")),
    }
}

async fn measure() -> Result<(), ApiError> {
    let failed = |error: io::Error| ApiError::failed(format!("files cannot be made: {error}"));
    let root = tempfile::tempdir().map_err(failed)?;
    let files = files(root.path()).map_err(failed)?;
    let (client, auth) = clinic(root.path().join("clinic")).await?;
    let ask = |request| client.call(auth.clone(), request);
    let new = NewPatient {
        family: "Okafor".to_owned(),
        given: "Ada Chi".to_owned(),
        birth_date: "1980-02-29".to_owned(),
        sex: "female".to_owned(),
        ..NewPatient::default()
    };
    let Response::Patient(row) = ask(Request::PatientNew(new)).await? else {
        return Err(ApiError::failed("no patient was registered"));
    };
    let patient = row.id;
    let attach = |path: PathBuf| {
        ask(Request::Attach {
            patient: patient.clone(),
            paths: vec![path],
            about: None,
            confirmed: true,
            each: false,
        })
    };
    // What is opened once, the store of blobs and the workers, is no growth by a file.
    let small = root.path().join("first.txt");
    std::fs::write(&small, "first").map_err(failed)?;
    line("the first file: a text", attach(small)).await?;
    let mut scan = None;
    for (what, path) in &files {
        let taken = line(what, attach(path.clone())).await?;
        if let (Some(Response::Attached(views)), None) = (taken, &scan) {
            scan = views.into_iter().find_map(|view| view.attachment);
        }
    }
    let scan = scan.ok_or_else(|| ApiError::failed("the DICOM file was not attached"))?;
    let preview = Request::Preview {
        patient: patient.clone(),
        attachment: scan.id.clone(),
        window: Some((20_000.0, 40_000.0)),
        frame: Some(200),
        max_side: 1_024,
    };
    line("a look at frame 200 of the DICOM of 120 MiB", ask(preview)).await?;
    let at_once = Request::ClassifyAttachment {
        patient: patient.clone(),
        attachment: scan.id,
    };
    line(
        "the same classified, the model read first",
        ask(at_once.clone()),
    )
    .await?;
    line("the same classified again", ask(at_once)).await?;
    for (what, path) in files.iter().take(3) {
        let request = Request::Classify {
            path: path.clone(),
            patient: None,
        };
        line(&format!("{what}: classified from disk"), ask(request)).await?;
    }
    Ok(())
}
