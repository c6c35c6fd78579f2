//! Frames between the sandbox and a worker: see the crate's page. Nothing is allocated for what a length merely claims.

use std::io::{self, Read, Write};

/// Longest name of a job, in bytes: its length is one byte.
pub(crate) const MAX_NAME_BYTES: usize = u8::MAX as usize;

/// What is allocated before the first byte of a message came.
const FIRST_ROOM: usize = 64 * 1024;

/// What is held of a reader whose bytes are sent on: what a pipe holds on Linux (pipe(7)).
const PIECE_BYTES: usize = 64 * 1024;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The greeting: limits are set.
    Ready = 0,
    /// The job's response follows.
    Answer = 1,
    /// The job panicked.
    Panicked = 2,
    /// No job has this name.
    UnknownJob = 3,
    /// The response is larger than allowed.
    TooLarge = 4,
}

impl Status {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Ready,
            Self::Answer,
            Self::Panicked,
            Self::UnknownJob,
            Self::TooLarge,
        ]
        .into_iter()
        .find(|status| *status as u8 == byte)
    }
}

/// Bytes that are no frame, or one larger than allowed.
pub(crate) fn not_a_frame() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A request in its frame, or the beginning of one that `more` bytes follow. `None` if the name or the whole is longer than a frame
/// can say.
pub(crate) fn request(job: &str, request: &[u8], more: u64) -> Option<Vec<u8>> {
    let name_len = u8::try_from(job.len()).ok()?;
    let here = 1 + job.len() + request.len();
    let len = u32::try_from((here as u64).checked_add(more)?).ok()?;
    let mut frame = Vec::with_capacity(4 + here);
    frame.extend_from_slice(&len.to_be_bytes());
    frame.push(name_len);
    frame.extend_from_slice(job.as_bytes());
    frame.extend_from_slice(request);
    Some(frame)
}

/// Sends exactly so many bytes of a reader on, a piece at a time.
///
/// # Errors
/// The reader's, and `UnexpectedEof` where it has fewer. Whether they arrived is seen by the answer.
pub(crate) fn send_on(
    output: &mut impl Write,
    input: &mut (impl Read + ?Sized),
    bytes: u64,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let read = match input.read(&mut piece[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        left = left.saturating_sub(read as u64);
        if output.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = output.flush();
    Ok(())
}

/// The next request, as the job's name and the bytes; `None` at the end of the input.
pub(crate) fn read_request(
    input: &mut impl Read,
    max_bytes: u64,
) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut len = [0; 4];
    if input.read(&mut len[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut len[1..])?;
    let mut name_len = [0];
    input.read_exact(&mut name_len)?;
    let rest = u64::from(u32::from_be_bytes(len)).checked_sub(1 + u64::from(name_len[0]));
    let rest = rest
        .filter(|rest| *rest <= max_bytes)
        .ok_or_else(not_a_frame)?;
    let name = read_message(input, u64::from(name_len[0]))?;
    let name = String::from_utf8(name).map_err(|_| not_a_frame())?;
    Ok(Some((name, read_message(input, rest)?)))
}

/// Writes an answer. The caller has seen to it that the response is no longer than allowed.
pub(crate) fn write_answer(
    output: &mut impl Write,
    status: Status,
    response: &[u8],
) -> io::Result<()> {
    let len = u32::try_from(response.len()).map_err(|_| not_a_frame())?;
    let [a, b, c, d] = len.to_be_bytes();
    output.write_all(&[status as u8, a, b, c, d])?;
    output.write_all(response)?;
    output.flush()
}

/// The next answer, of at most so many bytes.
pub(crate) fn read_answer(
    input: &mut impl Read,
    max_bytes: usize,
) -> io::Result<(Status, Vec<u8>)> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    let [status, a, b, c, d] = head;
    let status = Status::from_byte(status).ok_or_else(not_a_frame)?;
    let len = u32::from_be_bytes([a, b, c, d]);
    if u64::from(len) > max_bytes as u64 || (status != Status::Answer && len > 0) {
        return Err(not_a_frame());
    }
    Ok((status, read_message(input, u64::from(len))?))
}

/// Room is made as bytes come, and never for more than there are to be: whoever reads them has little.
fn read_message(input: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| not_a_frame())?;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let step = bytes.len().max(FIRST_ROOM).min(len - bytes.len());
        bytes.reserve_exact(step);
        if input.take(step as u64).read_to_end(&mut bytes)? < step {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let frame = request("job", b"bytes", 0).unwrap();
        assert_eq!(frame, b"\0\0\0\x09\x03jobbytes");
        let mut input = frame.as_slice();
        let arrived = read_request(&mut input, 5).unwrap();
        assert_eq!(arrived, Some(("job".to_owned(), b"bytes".to_vec())));
        assert_eq!(read_request(&mut input, 5).unwrap(), None);
        assert!(read_request(&mut frame.as_slice(), 4).is_err());
        for cut in 1..frame.len() {
            assert!(read_request(&mut &frame[..cut], 5).is_err(), "{cut}");
        }
        assert!(request(&"n".repeat(MAX_NAME_BYTES + 1), b"", 0).is_none());
        assert!(request("job", b"", u64::from(u32::MAX)).is_none());
        assert!(request("job", b"", u64::MAX).is_none());
    }

    #[test]
    fn what_a_reader_gives_arrives_behind_the_request() {
        let file: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut sent = request("job", b"head", file.len() as u64).unwrap();
        // More than was said stays where it is.
        let mut reader = file.as_slice().chain(&b"more"[..]);
        send_on(&mut sent, &mut reader, file.len() as u64).unwrap();
        let (name, arrived) = read_request(&mut sent.as_slice(), 2_000_000)
            .unwrap()
            .unwrap();
        assert_eq!(name, "job");
        assert_eq!(arrived.capacity(), arrived.len());
        assert!(arrived.starts_with(b"head") && arrived[4..] == file);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"more");
        let error = send_on(&mut sent, &mut &b"abc"[..], 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        let mut frame = Vec::new();
        write_answer(&mut frame, Status::Answer, b"response").unwrap();
        let arrived = read_answer(&mut frame.as_slice(), 8).unwrap();
        assert_eq!(arrived, (Status::Answer, b"response".to_vec()));
        assert!(read_answer(&mut frame.as_slice(), 7).is_err());
        for cut in 0..frame.len() {
            assert!(read_answer(&mut &frame[..cut], 8).is_err(), "{cut}");
        }
        for status in 5..=u8::MAX {
            frame[0] = status;
            assert!(read_answer(&mut frame.as_slice(), 8).is_err());
        }
        // Only a response has bytes.
        frame[0] = Status::Panicked as u8;
        assert!(read_answer(&mut frame.as_slice(), 8).is_err());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut claim: &[u8] = b"\x01\x3f\xff\xff\xffx";
        let error = read_answer(&mut claim, 1 << 30).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let mut name_beyond_the_frame: &[u8] = b"\0\0\0\x01\xff";
        assert!(read_request(&mut name_beyond_the_frame, 1 << 30).is_err());
    }
}
