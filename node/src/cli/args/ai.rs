//! `salus ai`, `salus images` and `salus models`: what models suggest, the images that they saw, and the models themselves.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::PatientArg;

/// `salus ai`.
#[derive(Debug, Subcommand)]
pub enum Ai {
    /// Tell an image, or each in a folder, by one of 15 categories, with a heat map if wanted
    #[command(after_help = "Examples:\n  \
        salus ai classify chest.png\n  \
        salus ai classify chest.dcm --heatmap why.png\n  \
        salus ai classify scans/ --csv answers.csv\n  \
        salus ai classify volume.dcm --frames all\n  \
        salus ai classify chest.png --patient 7224e8\n  \
        salus ai classify --patient 7224e8 --attachment chest.dcm\n\
        PNG, JPEG, TIFF and DICOM, known by their content. An image unlike those that the model was trained on is not\n\
        assessed. Without --patient nothing is kept, and no clinic is needed; with it, each answer is a signed entry of\n\
        the record's log and a suggestion for a physician. For research use: see `salus models show imaging`.")]
    Classify(ClassifyArgs),
    /// What models suggested about a patient, and what became of it
    #[command(after_help = "Examples:\n  \
        salus ai suggestions 7224e8\n  \
        salus ai suggestions 7224e8 --json\n\
        A suggestion is no finding: nothing of it is in the record until a physician accepts it.")]
    Suggestions(PatientArg),
    /// Accept a suggestion: the finding enters the record, with where it comes from
    #[command(after_help = "Examples:\n  \
        salus ai accept 7224e8 9c41b0\n  \
        salus ai accept 7224e8 9c41b0 --label \"pleural effusion\"\n\
        What a model did not assess is accepted with a label only. A clinic that may only read notes its verdict in\n\
        the log; the finding enters the record when a clinic that may write accepts it, too.")]
    Accept {
        /// Which record
        #[command(flatten)]
        patient: PatientArg,
        /// The suggestion's id that `ai suggestions` shows, or its beginning
        suggestion: String,
        /// The finding in your own words [otherwise the model's]
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Reject a suggestion; a finding that entered the record by it is marked as entered in error
    #[command(
        after_help = "Example:\n  salus ai reject 7224e8 9c41b0 --why \"artefact of the plate\""
    )]
    Reject {
        /// Which record
        #[command(flatten)]
        patient: PatientArg,
        /// The suggestion's id that `ai suggestions` shows, or its beginning
        suggestion: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// `salus ai classify`.
#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// An image, or a folder of them
    #[arg(value_name = "IMAGE|DIR", required_unless_present = "attachment")]
    pub path: Option<PathBuf>,
    /// Whose image it is: the answer becomes a suggestion in that record
    #[arg(long, value_name = "PATIENT")]
    pub patient: Option<String>,
    /// A file of the record of --patient, where it is kept: its id, the beginning of it, or its name
    #[arg(long, value_name = "ATTACHMENT", requires = "patient", conflicts_with_all = ["path", "heatmap", "csv", "mirror", "model", "frames"])]
    pub attachment: Option<String>,
    /// Write the image with what speaks for the first category as a PNG file
    #[arg(long, value_name = "FILE.png")]
    pub heatmap: Option<PathBuf>,
    /// Write one line an image as CSV; `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub csv: Option<PathBuf>,
    /// Which frames of a DICOM file with several
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub frames: FrameChoice,
    /// Also look at the mirror image, and average: twice the time
    #[arg(long)]
    pub mirror: bool,
    /// Use the model in this folder
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
}

/// Which frames of a file are classified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FrameChoice {
    /// The one in the middle
    #[default]
    Middle,
    /// Each; the most certain that is assessed answers for the file, and is right less often than its probability says
    All,
}

/// `salus models`.
#[derive(Debug, Subcommand)]
pub enum Models {
    /// The models of this program and of this clinic
    List,
    /// What is stated about a model: categories, data and licences, training, how good it is
    Show(ModelName),
    /// Compare every model's weights with the hash in its manifest, and build its network
    Verify {
        /// Which [otherwise all]
        name: Option<String>,
    },
    /// Judge a model on labelled images: a folder of category folders
    #[command(after_help = "Examples:\n  \
        salus models eval imaging images/val --confusion confusion.png\n  \
        salus models eval imaging images/val --foreign --foreign-dir holiday-pictures --occlusion\n\
        Folders of categories that the model does not know are left out and named.")]
    Eval(EvalArgs),
    /// Train a model on labelled images; an interrupted run goes on where it stopped
    #[command(after_help = "Examples:\n  \
        salus models train imaging images --base mobilenetv2_1.0_224.safetensors --out my-model\n  \
        salus models train imaging images --licence verified --out my-model\n\
        The folder holds `train/CATEGORY/*.jpg` and perhaps `val/CATEGORY/*.jpg`, or the category folders themselves;\n\
        `labels.tsv` beside them names each file's group (patient), licence and source. On two processors the usual\n\
        settings take about an hour.")]
    Train(TrainArgs),
}

/// Which model.
#[derive(Debug, Args)]
pub struct ModelName {
    /// Its name, for instance `imaging`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Use the model in this folder
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
}

/// `salus models eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Which model
    #[command(flatten)]
    pub name: ModelName,
    /// The images
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Write the confusion of the categories as a picture
    #[arg(long, value_name = "FILE.png")]
    pub confusion: Option<PathBuf>,
    /// Also count how many images get an answer that should get none: drawn by the program, 13 kinds
    #[arg(long)]
    pub foreign: bool,
    /// The same for the images in this folder's folders, which are named after what they show
    #[arg(long, value_name = "DIR")]
    pub foreign_dir: Option<PathBuf>,
    /// Also cover the hottest and the coldest part of each image's heat map, to see which matters
    #[arg(long)]
    pub occlusion: bool,
}

/// `salus models train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Which model: `imaging`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The images
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Weights to start from [otherwise weights/mobilenetv2-imagenet/mobilenetv2_1.0_224.safetensors in a folder above the images]
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Where the model goes [otherwise into the clinic's data folder, where it is used from then on]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Which images may be used, by the licence column of labels.tsv
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub licence: Licence,
    /// All draws follow from it
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Settings as JSON, whole; `models show` prints those of a model
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The new model's version
    #[arg(long, value_name = "TEXT", default_value = "1")]
    pub version_name: String,
}

/// Which images may be trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Licence {
    /// Those whose licence is verified
    Verified,
    /// All: the model is for research use only
    #[default]
    Any,
}

/// `salus images`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// Images by the category that a model suggested or a physician accepted; a look at every record shown
    #[command(after_help = "Examples:\n  \
        salus images find --category pneumonia\n  \
        salus images find --category chest_xray --patient 7224e8 --json")]
    Find(FindImages),
}

/// `salus images find`.
#[derive(Debug, Args)]
pub struct FindImages {
    /// The category, whatever its case and punctuation
    #[arg(long, value_name = "NAME")]
    pub category: String,
    /// Of one patient only: an id, its beginning, an MRN or an exact name
    #[arg(long, value_name = "PATIENT")]
    pub patient: Option<String>,
}
