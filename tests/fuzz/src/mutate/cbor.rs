//! Changes to CBOR as a tree (RFC 8949): what comes out is well-formed but for what was broken on purpose, so that it gets
//! past the outermost lengths.

use super::bytes::{self, EDGES};
use crate::rng::Rng;

/// How deep and how many items are taken apart; the rest stays as bytes.
const MAX_DEPTH: usize = 12;
const MAX_ITEMS: usize = 20_000;

/// One data item.
#[derive(Debug, Clone)]
enum Item {
    /// An unsigned or negative integer: major type and argument.
    Number(u8, u64),
    /// A byte string (2) or text string (3).
    String(u8, Vec<u8>),
    /// A byte string that holds an item itself.
    Nested(Box<Item>),
    /// An array.
    Array(Vec<Item>),
    /// Anything else, and what was broken on purpose.
    Raw(Vec<u8>),
}

/// Makes one change; false if the input is no CBOR.
pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) -> bool {
    let Some(mut item) = parse(input) else {
        return false;
    };
    let donor = parse(other).map(|other| pick(&other, rng));
    let mut at = rng.below(count(&item));
    change_at(&mut item, &mut at, donor.as_ref(), rng);
    input.clear();
    write(&item, input);
    true
}

fn parse(bytes: &[u8]) -> Option<Item> {
    let mut rest = bytes;
    let mut left = MAX_ITEMS;
    let item = read(&mut rest, MAX_DEPTH, &mut left)?;
    rest.is_empty().then_some(item)
}

fn read(rest: &mut &[u8], depth: usize, left: &mut usize) -> Option<Item> {
    *left = left.checked_sub(1)?;
    let start = *rest;
    let (major, argument) = read_head(rest)?;
    Some(match major {
        0 | 1 => Item::Number(major, argument),
        2 | 3 => {
            let (string, after) = rest.split_at_checked(usize::try_from(argument).ok()?)?;
            *rest = after;
            nested(major, string, depth, left)
        }
        4 => {
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            for _ in 0..argument {
                items.push(read(rest, depth, left)?);
            }
            Item::Array(items)
        }
        7 => Item::Raw(start.get(..start.len() - rest.len())?.to_vec()),
        // Maps and tags occur nowhere in our formats.
        _ => return None,
    })
}

/// A byte string that is one array from end to end is taken apart, too.
fn nested(major: u8, string: &[u8], depth: usize, left: &mut usize) -> Item {
    if major == 2 && depth > 0 && string.first().is_some_and(|head| head >> 5 == 4) {
        let mut rest = string;
        if let Some(inner) = read(&mut rest, depth - 1, left)
            && rest.is_empty()
        {
            return Item::Nested(Box::new(inner));
        }
    }
    Item::String(major, string.to_vec())
}

fn read_head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let (head, after) = rest.split_first()?;
    let (major, short) = (head >> 5, head & 31);
    let len = match short {
        0..=23 => {
            *rest = after;
            return Some((major, u64::from(short)));
        }
        24..=27 => 1_usize << (short - 24),
        _ => return None,
    };
    let (bytes, after) = after.split_at_checked(len)?;
    *rest = after;
    let argument = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some((major, argument))
}

fn write(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Number(major, argument) => write_head(*major, *argument, out),
        Item::String(major, string) => {
            write_head(*major, string.len() as u64, out);
            out.extend_from_slice(string);
        }
        Item::Nested(inner) => {
            let mut bytes = Vec::new();
            write(inner, &mut bytes);
            write_head(2, bytes.len() as u64, out);
            out.append(&mut bytes);
        }
        Item::Array(items) => {
            write_head(4, items.len() as u64, out);
            items.iter().for_each(|item| write(item, out));
        }
        Item::Raw(bytes) => out.extend_from_slice(bytes),
    }
}

fn write_head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let wide = match argument {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    write_wide(major, argument, wide, out);
}

/// A head with its argument in 0, 1, 2, 4 or 8 bytes, whether that is the shortest form or not.
fn write_wide(major: u8, argument: u64, wide: usize, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let short = match wide {
        0 => bytes[7] & 31,
        1 => 24,
        2 => 25,
        4 => 26,
        _ => 27,
    };
    out.push(major << 5 | short);
    out.extend_from_slice(bytes.get(8 - wide..).unwrap_or_default());
}

fn count(item: &Item) -> usize {
    1 + match item {
        Item::Nested(inner) => count(inner),
        Item::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

fn pick(item: &Item, rng: &mut Rng) -> Item {
    let mut at = rng.below(count(item));
    find(item, &mut at).unwrap_or(item).clone()
}

fn find<'i>(item: &'i Item, at: &mut usize) -> Option<&'i Item> {
    if *at == 0 {
        return Some(item);
    }
    *at -= 1;
    match item {
        Item::Nested(inner) => find(inner, at),
        Item::Array(items) => items.iter().find_map(|item| find(item, at)),
        _ => None,
    }
}

/// Changes the item with this number, counted from the outermost; true once it is done.
fn change_at(item: &mut Item, at: &mut usize, donor: Option<&Item>, rng: &mut Rng) -> bool {
    if *at == 0 {
        change(item, donor, rng);
        return true;
    }
    *at -= 1;
    match item {
        Item::Nested(inner) => change_at(inner, at, donor, rng),
        Item::Array(items) => items.iter_mut().any(|item| change_at(item, at, donor, rng)),
        _ => false,
    }
}

fn change(item: &mut Item, donor: Option<&Item>, rng: &mut Rng) {
    match rng.below(12) {
        0 => *item = donor.cloned().unwrap_or(Item::Array(Vec::new())),
        1 => *item = scalar(rng),
        2 => *item = Item::Raw(lie(item, rng)),
        _ => change_inside(item, donor, rng),
    }
}

fn scalar(rng: &mut Rng) -> Item {
    match rng.below(6) {
        0 => Item::Raw(vec![0xf6]),
        1 => Item::Raw(vec![rng.byte()]),
        2 => Item::String(2, rng.bytes(32)),
        3 => Item::String(3, b"text".to_vec()),
        4 => Item::Array(Vec::new()),
        _ => Item::Number(0, edge(rng)),
    }
}

fn edge(rng: &mut Rng) -> u64 {
    let edge = rng.pick(&EDGES).copied().unwrap_or_default();
    match rng.below(3) {
        0 => edge.wrapping_add(1),
        1 => edge.wrapping_sub(1),
        _ => edge,
    }
}

/// The same item with a head that claims another length, is longer than needed, or of indefinite length.
fn lie(item: &Item, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(item, &mut bytes);
    let mut rest = bytes.as_slice();
    let Some((major, argument)) = read_head(&mut rest) else {
        return bytes;
    };
    let mut out = Vec::new();
    match rng.below(3) {
        0 => write_head(major, edge(rng), &mut out),
        1 => {
            let wide = [1, 2, 4, 8].get(rng.below(4)).copied().unwrap_or(8);
            write_wide(major, argument, wide, &mut out);
        }
        _ => {
            out.push(major << 5 | 31);
            out.extend_from_slice(rest);
            out.push(0xff);
            return out;
        }
    }
    out.extend_from_slice(rest);
    out
}

fn change_inside(item: &mut Item, donor: Option<&Item>, rng: &mut Rng) {
    match item {
        Item::Number(_, argument) => {
            *argument = match rng.below(4) {
                0 => argument.wrapping_add(1),
                1 => argument.wrapping_sub(1),
                2 => edge(rng),
                _ => *argument ^ 1 << rng.below(64),
            }
        }
        Item::String(_, string) => match rng.below(5) {
            0 => string.truncate(string.len().saturating_sub(1)),
            1 => string.push(rng.byte()),
            2 => {
                let len = [0, 31, 33, 64, 201, 257, 1025, 2049];
                let len = len.get(rng.below(len.len())).copied().unwrap_or(0);
                string.resize(len, b'a');
            }
            _ => {
                let other = match donor {
                    Some(Item::String(_, other)) => other.as_slice(),
                    _ => &[],
                };
                bytes::mutate(string, other, rng);
            }
        },
        Item::Array(items) => change_array(items, donor, rng),
        Item::Nested(inner) => change_inside(inner, donor, rng),
        Item::Raw(raw) => bytes::mutate(raw, &[], rng),
    }
}

fn change_array(items: &mut Vec<Item>, donor: Option<&Item>, rng: &mut Rng) {
    let at = rng.below(items.len());
    let one = items.get(at).cloned();
    match (rng.below(6), one) {
        (0, Some(_)) => {
            items.remove(at);
        }
        (1, Some(one)) => items.insert(at, one),
        (2, Some(_)) => {
            let other = rng.below(items.len());
            items.swap(at, other);
        }
        (3, Some(one)) => {
            // Enough to pass the smaller limits on counts.
            let more = [8, 17, 65, 257, 1025];
            let more = more.get(rng.below(more.len())).copied().unwrap_or(8);
            if size(&one) * more <= 1 << 16 {
                items.extend(std::iter::repeat_n(one, more));
            }
        }
        (4, Some(_)) => items.reverse(),
        _ => items.insert(at, donor.cloned().unwrap_or_else(|| scalar(rng))),
    }
}

fn size(item: &Item) -> usize {
    let mut bytes = Vec::new();
    write(item, &mut bytes);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[1, h'820102', "a", null, [-1, h'']]`
    const SAMPLE: &[u8] = &[
        0x85, 0x01, 0x43, 0x82, 0x01, 0x02, 0x61, b'a', 0xf6, 0x82, 0x20, 0x40,
    ];

    #[test]
    fn what_is_not_changed_is_written_as_it_was_read() {
        let item = parse(SAMPLE).unwrap();
        let mut again = Vec::new();
        write(&item, &mut again);
        assert_eq!(again, SAMPLE);
        // The outer array, its five items, the array in the byte string with two, and two in the last.
        assert_eq!(count(&item), 11);
        assert!(parse(&SAMPLE[..SAMPLE.len() - 1]).is_none());
        assert!(parse(b"\x9f\xff").is_none());
    }

    #[test]
    fn most_changes_keep_the_outer_structure() {
        let mut rng = Rng::new(1, "cbor");
        let mut whole = 0;
        for _ in 0..1_000 {
            let mut input = SAMPLE.to_vec();
            assert!(mutate(&mut input, SAMPLE, &mut rng));
            whole += usize::from(parse(&input).is_some());
        }
        assert!((700..1_000).contains(&whole), "{whole}");
    }
}
