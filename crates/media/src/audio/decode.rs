//! All of a sound decoded, piece by piece, for its length and outline.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::{Error, Result as Decoding};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::codecs::{AacDecoder, FlacDecoder, MpaDecoder, VorbisDecoder};
use symphonia::default::formats::{FlacReader, IsoMp4Reader, MpaReader, OggReader};

use super::peaks::Outline;
use super::{Header, MAX_CHANNELS};
use crate::{MAX_AUDIO_SAMPLES, MediaError, MediaType};

/// What decoding came to.
pub(super) enum Outcome {
    /// All of it.
    Decoded {
        /// Samples of a channel.
        frames: u64,
        /// Of what was decoded, which may be less than the header says.
        sample_rate: u32,
        peaks: Vec<(i8, i8)>,
    },
    /// There is no decoder for it here, in words.
    Undecoded(String),
}

/// Decodes a file whose header is sound.
///
/// # Errors
/// If it is broken or cut off, or longer than [`MAX_AUDIO_SAMPLES`].
pub(super) fn decode(
    media: MediaType,
    bytes: &[u8],
    header: &Header,
) -> Result<Outcome, MediaError> {
    // Decoders that are not ours may break an invariant of theirs on bytes that nobody tried. Nothing outlives the call.
    catch_unwind(AssertUnwindSafe(|| guarded(media, bytes, header)))
        .unwrap_or_else(|_| Err(MediaError::damaged(media, "its decoder gave up")))
}

fn open(media: MediaType, bytes: &[u8]) -> Decoding<Box<dyn FormatReader + '_>> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let options = FormatOptions::default();
    Ok(match media {
        MediaType::Flac => Box::new(FlacReader::try_new(source, options)?),
        MediaType::Mp3 => Box::new(MpaReader::try_new(source, options)?),
        MediaType::Ogg => Box::new(OggReader::try_new(source, options)?),
        _ => Box::new(IsoMp4Reader::try_new(source, options)?),
    })
}

type Attempt = fn(&AudioCodecParameters, &AudioDecoderOptions) -> Decoding<Box<dyn AudioDecoder>>;

fn decoder(coding: &AudioCodecParameters) -> Decoding<Box<dyn AudioDecoder>> {
    let options = AudioDecoderOptions::default().verify(true);
    let attempts: [Attempt; 4] = [
        |coding, options| Ok(Box::new(FlacDecoder::try_new(coding, options)?)),
        |coding, options| Ok(Box::new(MpaDecoder::try_new(coding, options)?)),
        |coding, options| Ok(Box::new(VorbisDecoder::try_new(coding, options)?)),
        |coding, options| Ok(Box::new(AacDecoder::try_new(coding, options)?)),
    ];
    let mut unsupported = Error::Unsupported("no decoder");
    for attempt in attempts {
        match attempt(coding, &options) {
            Err(Error::Unsupported(what)) => unsupported = Error::Unsupported(what),
            other => return other,
        }
    }
    Err(unsupported)
}

/// The one stream of sound.
fn stream(media: MediaType, tracks: &[Track]) -> Result<(u32, &AudioCodecParameters), MediaError> {
    let mut sounds = tracks
        .iter()
        .filter(|track| track.track_type() == Some(TrackType::Audio));
    match (sounds.next(), sounds.next()) {
        (Some(track), None) => match &track.codec_params {
            Some(CodecParameters::Audio(coding)) => Ok((track.id, coding)),
            _ => Err(MediaError::damaged(media, "its coding is not named")),
        },
        (None, _) => Err(MediaError::damaged(media, "it holds no sound")),
        (Some(_), Some(_)) => Err(MediaError::refused(
            media,
            "holds several recordings",
            "export one of them",
        )),
    }
}

fn guarded(media: MediaType, bytes: &[u8], header: &Header) -> Result<Outcome, MediaError> {
    let broken = |error: Error| match error {
        Error::IoError(_) => MediaError::damaged(media, "it ends too early"),
        Error::DecodeError(why) | Error::Unsupported(why) | Error::LimitError(why) => {
            MediaError::damaged(media, why)
        }
        _ => MediaError::damaged(media, "its structure is broken"),
    };
    let mut reader = open(media, bytes.get(header.start..).unwrap_or_default()).map_err(broken)?;
    let (track, coding) = stream(media, reader.tracks())?;
    let mut decoder = match decoder(coding) {
        Ok(decoder) => decoder,
        Err(Error::Unsupported(_)) => {
            return Ok(Outcome::Undecoded(format!(
                "{} of this kind is not decoded here",
                header.codec
            )));
        }
        Err(error) => return Err(broken(error)),
    };
    let channels = usize::from(header.channels);
    let mut outline = Outline::new();
    let mut samples = Vec::new();
    let mut sample_rate = header.sample_rate;
    let mut tolerance = Tolerance::of(media);
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(error) => return Err(broken(error)),
        };
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(sound) => {
                let spec = sound.spec();
                if spec.channels().count() != channels || channels > usize::from(MAX_CHANNELS) {
                    return Err(MediaError::damaged(media, "its channels change"));
                }
                sample_rate = spec.rate();
                tolerance.decoded();
                samples.clear();
                sound.copy_to_vec_interleaved::<f32>(&mut samples);
                outline.add(&samples, channels);
                check_length(media, outline.frames(), header.channels)?;
            }
            Err(Error::Unsupported(_)) if outline.frames() == 0 => {
                return Ok(Outcome::Undecoded(format!(
                    "{} of this kind is not decoded here",
                    header.codec
                )));
            }
            Err(error) => {
                if !tolerance.failed() {
                    return Err(broken(error));
                }
            }
        }
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(MediaError::damaged(media, "its checksum is of other sound"));
    }
    let frames = outline.frames();
    if frames == 0 || !tolerance.is_fine() {
        return Err(MediaError::damaged(
            media,
            "little or nothing of it can be decoded",
        ));
    }
    if media_is_exact(media) && header.frames.is_some_and(|promised| promised != frames) {
        return Err(MediaError::damaged(
            media,
            "its header promises another length than it has",
        ));
    }
    Ok(Outcome::Decoded {
        frames,
        sample_rate,
        peaks: outline.finish(),
    })
}

/// Refuses sound that is longer than what is decoded.
pub(super) fn check_length(media: MediaType, frames: u64, channels: u16) -> Result<(), MediaError> {
    if frames.saturating_mul(u64::from(channels)) > MAX_AUDIO_SAMPLES {
        return Err(MediaError::refused(
            media,
            format!("holds more than {MAX_AUDIO_SAMPLES} samples"),
            "cut it into parts of at most 8 hours",
        ));
    }
    Ok(())
}

/// Whether its header counts samples.
fn media_is_exact(media: MediaType) -> bool {
    media == MediaType::Flac
}

/// How many packets may be broken: none where nothing was lost in coding; one in ten where decoders go on, after a first one that
/// is not.
struct Tolerance {
    exact: bool,
    decoded: u64,
    failed: u64,
}

impl Tolerance {
    fn of(media: MediaType) -> Self {
        Self {
            exact: media_is_exact(media),
            decoded: 0,
            failed: 0,
        }
    }

    fn decoded(&mut self) {
        self.decoded += 1;
    }

    /// Notes a packet that is not decoded; says whether to go on.
    fn failed(&mut self) -> bool {
        self.failed += 1;
        !self.exact && self.decoded > 0
    }

    fn is_fine(&self) -> bool {
        self.failed * 10 <= self.decoded
    }
}
