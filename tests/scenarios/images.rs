//! Images before the model that is part of the program: as somebody without a clinic, as a physician, and as an attacker.

use std::fs;
use std::path::{Path, PathBuf};

use salus_imaging::{Picture, encode_png};
use serde_json::Value;

use crate::process::Clinic;

/// A program without a clinic.
fn nobody(root: &Path) -> Clinic {
    Clinic {
        folder: root.join("no-clinic"),
        name: "Nobody".into(),
        id: String::new(),
        words: String::new(),
    }
}

/// A picture of no scanner: levels by a rule.
pub fn png(path: &Path, side: u32, level: impl Fn(u32, u32) -> u32) -> String {
    let places = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let levels = places.map(|(x, y)| u8::try_from(level(x, y) % 256).unwrap());
    let picture = Picture::grey(side, side, levels.collect()).unwrap();
    fs::write(path, encode_png(&picture)).unwrap();
    path.display().to_string()
}

/// The checksum of a chunk (PNG, annex D): bit by bit, for one header.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

/// The folder of real data beside the repository, or in SALUS_SHARED.
fn shared(what: &str) -> Option<PathBuf> {
    let given = std::env::var_os("SALUS_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let root = given.or_else(|| beside.map(|folder| folder.join("shared")))?;
    let folder = root.join(what);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: there is no {} here", folder.display());
    None
}

#[test]
fn an_image_like_no_scan_is_not_assessed_and_needs_no_clinic() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    let noise = |x: u32, y: u32| (x * 7_919 + y * 104_729).wrapping_mul(x ^ y) / 13;
    let pictures = [
        png(&dir.path().join("noise.png"), 256, noise),
        png(&dir.path().join("blank.png"), 300, |_, _| 90),
        png(&dir.path().join("board.png"), 224, |x, y| {
            (x / 16 + y / 16) % 2 * 255
        }),
        png(&dir.path().join("ramp.png"), 64, |x, _| x * 4),
    ];
    for picture in &pictures {
        let said = nobody.json(&["ai", "classify", picture]);
        assert_eq!(said["uncertain"], true, "{picture}: {said}");
        assert_eq!(said["model"], "imaging");
        assert_eq!(said["weights"].as_str().unwrap().len(), 64);
        assert!(said["ms"].as_f64().unwrap() > 0.0);
        let text = nobody.ok(&["ai", "classify", picture]);
        assert!(text.contains("not assessed"), "{text}");
    }
    assert!(!nobody.folder.exists());
    // A folder: one line each, and the same as CSV.
    let folder = dir.path().display().to_string();
    let lines = nobody.lines(&["ai", "classify", &folder]);
    assert_eq!(lines.len(), pictures.len());
    let csv = dir.path().join("answers.csv");
    nobody.ok(&[
        "ai",
        "classify",
        &folder,
        "--csv",
        &csv.display().to_string(),
    ]);
    let csv = fs::read_to_string(csv).unwrap();
    assert_eq!(csv.lines().count(), 1 + pictures.len());
    assert!(
        csv.starts_with("file,image,uncertain,why,label_1,p_1"),
        "{csv}"
    );
    // A heat map is a picture of what was looked at.
    let heat = dir.path().join("heat.png");
    nobody.ok(&[
        "ai",
        "classify",
        &pictures[0],
        "--heatmap",
        &heat.display().to_string(),
    ]);
    assert!(fs::read(heat).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_broken_image_gets_an_error_that_says_what_to_do_and_never_a_class() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    let whole = dir.path().join("whole.png");
    png(&whole, 64, |x, y| x * y);
    let whole = fs::read(whole).unwrap();
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xfd, 0xe8, 0, 0, 0xfd, 0xe8]);
    let checksum = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    let files: [(&str, &[u8], &str); 5] = [
        ("empty.png", b"", "empty"),
        ("text.jpg", b"this is no picture at all", "not a PNG"),
        ("cut.png", &whole[..whole.len() / 2], "damaged or cut off"),
        ("huge.png", &huge, "65000 x 65000"),
        (
            "jpeg.jpg",
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01",
            "JPEG",
        ),
    ];
    let broken = dir.path().join("broken");
    fs::create_dir(&broken).unwrap();
    for (name, bytes, says) in files {
        let path = broken.join(name);
        fs::write(&path, bytes).unwrap();
        let said = nobody.fails(1, &["ai", "classify", &path.display().to_string()]);
        assert!(said.contains(says) && said.contains(name), "{name}: {said}");
    }
    nobody.fails(4, &["ai", "classify", "/no/such/image.png"]);
    // Of a folder each broken file is told of, and the whole ones are classified all the same.
    fs::write(broken.join("whole.png"), &whole).unwrap();
    let run = nobody.run(&["--json", "ai", "classify", &broken.display().to_string()]);
    assert_eq!(run.status.code(), Some(1));
    let lines = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), files.len() + 1);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.get("error").is_some())
            .count(),
        files.len()
    );
    assert!(
        lines
            .iter()
            .all(|line| line.get("error").is_some() != line.get("top").is_some())
    );
}

#[test]
fn an_answer_for_a_patient_is_an_entry_and_a_suggestion() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let id = clinic.patient("Okafor", "Ada");
    let picture = png(&dir.path().join("chart.png"), 256, |x, y| x ^ y);
    let said = clinic.json(&["ai", "classify", &picture, "--patient", &id]);
    let found = clinic.lines(&["ai", "suggestions", &id]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], said["suggestion"]);
    assert_eq!(
        (&found[0]["uncertain"], &found[0]["label"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(found[0]["input"], said["image"]);
    assert_eq!(found[0]["name"], "chart.png");
    let suggestion = found[0]["id"].as_str().unwrap();
    // What was not assessed is no finding until a person makes it one.
    clinic.fails(2, &["ai", "accept", &id, suggestion]);
    clinic.ok(&["ai", "reject", &id, suggestion, "--why", "a test chart"]);
    let log = clinic.ok(&["audit", "log", &id]);
    assert!(
        log.contains("inference") && log.contains("verdict"),
        "{log}"
    );
    clinic.fails(4, &["ai", "classify", &picture, "--patient", "nobody"]);
}

#[test]
fn a_model_that_is_not_what_its_manifest_says_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    let listed = nobody.lines(&["models", "list"]);
    assert_eq!(listed[0]["model"], "imaging");
    nobody.ok(&["models", "verify"]);
    let shown = nobody.json(&["models", "show", "imaging"]);
    assert_eq!(shown["categories"].as_array().unwrap().len(), 15);
    assert_eq!(shown["research_use_only"], true);
    nobody.fails(4, &["models", "show", "no-such-model"]);
    nobody.fails(4, &["models", "verify", "no-such-model"]);

    // The same model in a folder, and then with one bit of another.
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/imaging");
    let folder = dir.path().join("models").join("mine");
    fs::create_dir_all(&folder).unwrap();
    for name in ["manifest.json", "weights.safetensors"] {
        fs::copy(place.join(name), folder.join(name)).unwrap();
    }
    let picture = png(&dir.path().join("chart.png"), 256, |x, y| x ^ y);
    let model = folder.display().to_string();
    nobody.ok(&["ai", "classify", &picture, "--model", &model]);
    let weights = folder.join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    let said = nobody.fails(5, &["ai", "classify", &picture, "--model", &model]);
    assert!(said.contains("BLAKE3"), "{said}");
    fs::write(&weights, &bytes[..middle]).unwrap();
    nobody.fails(5, &["ai", "classify", &picture, "--model", &model]);
    fs::remove_file(&weights).unwrap();
    nobody.fails(4, &["ai", "classify", &picture, "--model", &model]);
    fs::write(folder.join("manifest.json"), b"{}").unwrap();
    nobody.fails(1, &["ai", "classify", &picture, "--model", &model]);
}

#[test]
fn a_model_is_judged_on_what_it_knows_and_what_it_should_say_nothing_about() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    let folder = |name: &str| {
        let folder = dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    };
    for number in 0..3 {
        let name = format!("{number}.png");
        for (place, step) in [
            ("images/head-ct-normal", 3),
            ("images/hand-xray-normal", 5),
            ("foreign/boards", 16),
        ] {
            let board = |x: u32, y: u32| (x / (step + number) + y / step) % 2 * 200;
            png(&folder(place).join(&name), 224, board);
        }
    }
    let place = |name: &str| dir.path().join(name).display().to_string();
    let (images, foreign) = (place("images"), place("foreign"));
    let judged = nobody.json(&[
        "models",
        "eval",
        "imaging",
        &images,
        "--foreign-dir",
        &foreign,
        "--occlusion",
    ]);
    assert_eq!(judged["n"], 3);
    assert_eq!(judged["left_out"][0], "hand-xray-normal");
    assert_eq!(judged["foreign"]["kinds"]["boards"]["n"], 3);
    assert_eq!(judged["foreign"]["all"]["assessed"], 0, "{judged}");
    // Boards are not assessed, and only what is assessed is shown with a heat map.
    assert_eq!(judged["metrics"]["refused"], 1.0, "{judged}");
    assert_eq!(judged["occlusion"]["n"], 0);
    let text = nobody.ok(&["models", "eval", "imaging", &images, "--foreign"]);
    for kind in ["landscape", "screenshot", "blank"] {
        assert!(text.contains(kind), "{text}");
    }
    let said = nobody.fails(1, &["models", "eval", "imaging", &foreign]);
    assert!(
        said.contains("head-ct-normal") && said.contains("boards"),
        "{said}"
    );
}

/// An uncompressed DICOM file (explicit VR, little endian) of 8-bit frames of 64 x 64 pixels.
fn dicom(path: &Path, frames: u32, level: impl Fn(u32, u32, u32) -> u32) -> String {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let mut element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == b"UI" { 0 } else { b' ' });
        }
        file.extend(group.to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend(vr);
        if vr == b"OB" {
            file.extend([0, 0]);
            file.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            file.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        file.extend(value);
    };
    let short = |value: u16| value.to_le_bytes();
    element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1");
    element(0x0008, 0x0060, b"CS", b"OT");
    element(0x0028, 0x0002, b"US", &short(1));
    element(0x0028, 0x0004, b"CS", b"MONOCHROME2");
    element(0x0028, 0x0008, b"IS", frames.to_string().as_bytes());
    for (number, value) in [
        (0x0010, 64),
        (0x0011, 64),
        (0x0100, 8),
        (0x0101, 8),
        (0x0102, 7),
        (0x0103, 0),
    ] {
        element(0x0028, number, b"US", &short(value));
    }
    let places =
        (0..frames).flat_map(|f| (0..64 * 64).map(move |place| (f, place % 64, place / 64)));
    let levels = places.map(|(frame, x, y)| u8::try_from(level(frame, x, y) % 256).unwrap());
    element(0x7fe0, 0x0010, b"OB", &levels.collect::<Vec<_>>());
    fs::write(path, file).unwrap();
    path.display().to_string()
}

#[test]
fn of_several_frames_the_middle_one_or_each_is_classified() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    // All blank but the last, which is a board: each for its own reason nothing to be assessed.
    let board = |frame: u32, x: u32, y: u32| match frame {
        4 => (x / 8 + y / 8) % 2 * 200,
        _ => 30 * frame,
    };
    let loops = dicom(&dir.path().join("loop.dcm"), 5, board);
    let middle = nobody.json(&["ai", "classify", &loops]);
    assert_eq!(middle["frame"], 3);
    assert_eq!(middle["frame_count"], 5);
    assert!(middle["frames"].is_null(), "{middle}");
    assert_eq!(middle["uncertain"], true);
    let every = nobody.json(&["ai", "classify", &loops, "--frames", "all"]);
    let frames = every["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 5);
    for (number, frame) in (1..).zip(frames) {
        assert_eq!(frame["frame"], number);
        assert_eq!(frame["uncertain"], true, "{frame}");
        let blank = frame["why"].as_str().unwrap().contains("blank");
        assert_eq!(blank, number < 5, "{frame}");
    }
    // None is assessed: the one in the middle answers, as it does alone.
    assert_eq!(every["frame"], 3);
    assert_eq!(every["top"], middle["top"]);
    let text = nobody.ok(&["ai", "classify", &loops, "--frames", "all"]);
    assert!(
        text.contains("* frame    3") && text.contains("frame    5"),
        "{text}"
    );
    // A heat map is of the frame that answers; a file of one frame is as before.
    let heat = dir.path().join("heat.png");
    let heat = heat.display().to_string();
    nobody.ok(&[
        "ai",
        "classify",
        &loops,
        "--frames",
        "all",
        "--heatmap",
        &heat,
    ]);
    assert!(fs::read(&heat).unwrap().starts_with(b"\x89PNG"));
    let still = dicom(&dir.path().join("still.dcm"), 1, board);
    let said = nobody.json(&["ai", "classify", &still, "--frames", "all"]);
    assert!(
        said["frame"].is_null() && said["frames"].is_null(),
        "{said}"
    );
    // In a folder and as CSV: a line for each frame, of which one answers.
    fs::remove_file(&heat).unwrap();
    let folder = dir.path().display().to_string();
    assert_eq!(
        nobody
            .lines(&["ai", "classify", &folder, "--frames", "all"])
            .len(),
        2
    );
    let csv = nobody.ok(&["ai", "classify", &folder, "--frames", "all", "--csv", "-"]);
    assert_eq!(csv.lines().count(), 1 + 5 + 1, "{csv}");
    assert_eq!(
        csv.lines().filter(|line| line.ends_with(",true")).count(),
        2
    );
}

/// The bounds lie below what was measured: they tell a broken build from a working one, not one model from a better one.
#[test]
fn the_model_is_as_good_as_its_card_says_on_validation_images() {
    let Some(images) = shared("data/images/val") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let nobody = nobody(dir.path());
    let images = images.display().to_string();
    let confusion = dir.path().join("confusion.png");
    let judged = nobody.json(&[
        "models",
        "eval",
        "imaging",
        &images,
        "--confusion",
        &confusion.display().to_string(),
    ]);
    assert!(judged["n"].as_u64().unwrap() > 600, "{judged}");
    let metric = |name: &str| judged["metrics"][name].as_f64().unwrap();
    assert!(metric("accuracy") > 0.86, "{judged}");
    assert!(metric("balanced_accuracy") > 0.86, "{judged}");
    assert!(metric("ece") < 0.06, "{judged}");
    assert!(judged["ci95"]["accuracy"].is_array(), "{judged}");
    assert!(judged["per_class"]["brain-mri-glioma"]["recall"].is_number());
    assert!(fs::read(confusion).unwrap().starts_with(b"\x89PNG"));
}
