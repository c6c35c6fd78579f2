//! Looking at a change's bytes before Automerge does.
//!
//! Automerge 0.12 unpacks what it is given: 150 hostile bytes can ask for 512 MiB, and a deflated chunk of 1 MiB
//! for 1 GiB (measured, `p2p-stack.md` section 4). Here the bytes are only walked over. What passes has one
//! uncompressed change chunk, an intact checksum, 16-byte actors, only columns that Automerge knows, and counts
//! that are bounded by [`MAX_CHANGE_OPS`]; nothing is allocated.
//!
//! The layout is that of Automerge's binary format, "change chunk" and "column encodings":
//!
//! ```text
//! 85 6f 4a 83 | checksum 4 | type 1 | length uLEB |
//!   deps: count uLEB, 32 bytes each | actor: length, bytes | seq | start_op | time (sLEB) |
//!   message: length, bytes | other actors: count, (length, bytes) each |
//!   columns: count, (specification uLEB, length uLEB) each | column data | nothing after it
//! ```

use crate::apply::Fault;
use crate::{MAX_CHANGE_BYTES, MAX_CHANGE_OBJECTS, MAX_CHANGE_OPS, MAX_CHANGE_VALUES};

/// First bytes of every Automerge chunk.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk type of an uncompressed change.
const TYPE_CHANGE: u8 = 1;
/// Length of our actor ids ([`crate::actor_for`]).
const ACTOR_BYTES: usize = 16;
/// Most changes that one change may follow directly: one for each chain with concurrent work. A guess.
const MAX_DEPS: u64 = 1024;
/// Most other actors that one change may refer to. A guess: one for each incarnation of each clinic.
const MAX_ACTORS: u64 = 4096;
/// Longest message; Salus writes none.
const MAX_MESSAGE_BYTES: u64 = 1024;
/// Longest key. Those of this version are shorter than [`crate::MAX_ID_BYTES`] and some letters more.
const MAX_KEY_BYTES: u64 = 1024;
/// Most bytes of all keys as each operation has them: runs of one key are coded as such, but not kept so everywhere.
const MAX_KEYS_BYTES: u64 = 2 * MAX_CHANGE_BYTES as u64;
/// Most columns: those of [`Coding`] exist.
const MAX_COLUMNS: usize = 16;

/// How a column is coded, as far as its size is concerned.
#[derive(Clone, Copy, PartialEq)]
enum Coding {
    /// Runs of LEB128 numbers.
    Numbers,
    /// Runs of numbers that say what each operation does.
    Actions,
    /// Runs of numbers that name the change's actors, its own first.
    Actors,
    /// Runs of numbers of which each says how many values other columns have for this row.
    Counts,
    /// Runs of length-prefixed strings.
    Strings,
    /// Lengths of alternating runs of false and true.
    Booleans,
    /// Bytes that another column's numbers cut up.
    Raw,
}

/// The columns of a change: (id << 4 | type), as in `automerge::storage::change::change_op_columns`.
fn coding(specification: u64) -> Option<Coding> {
    Some(match specification {
        0x02 | 0x13 | 0x56 | 0x73 => Coding::Numbers,
        0x42 => Coding::Actions,
        0x01 | 0x11 | 0x71 => Coding::Actors,
        0x70 => Coding::Counts,
        0x15 | 0xa5 => Coding::Strings,
        0x34 | 0x94 => Coding::Booleans,
        0x57 => Coding::Raw,
        _ => return None,
    })
}

/// Walks over the bytes of a change and refuses what is not one, or is a bomb. Returns how many operations it has.
pub(crate) fn inspect(bytes: &[u8]) -> Result<u64, Fault> {
    if bytes.len() > MAX_CHANGE_BYTES {
        return Err(Fault::TooLarge);
    }
    let mut input = Input(bytes);
    if input.take(4)? != MAGIC {
        return Err(Fault::NotAChange);
    }
    input.take(4)?; // The checksum is compared after the hash was computed.
    if input.take(1)? != [TYPE_CHANGE] {
        return Err(Fault::NotAChange);
    }
    if input.number()? != input.0.len() as u64 {
        return Err(Fault::Malformed("length"));
    }
    let deps = input.at_most(MAX_DEPS, "dependencies")?;
    input.take(deps * 32)?;
    input.actor()?;
    input.number()?; // seq
    input.number()?; // start_op
    input.number()?; // time: signed, but no longer
    let message = input.at_most(MAX_MESSAGE_BYTES, "message")?;
    input.take(message)?;
    let others = input.at_most(MAX_ACTORS, "actors")?;
    for _ in 0..others {
        input.actor()?;
    }
    let mut columns = [(Coding::Raw, 0); MAX_COLUMNS];
    let count = input.at_most(MAX_COLUMNS as u64, "columns")?;
    for column in columns.iter_mut().take(count) {
        let specification = input.number()?;
        let coding = coding(specification).ok_or(Fault::Malformed("column"))?;
        *column = (coding, input.at_most(MAX_CHANGE_BYTES as u64, "column")?);
    }
    let mut ops = 0;
    for (coding, length) in columns.into_iter().take(count) {
        let mut column = Input(input.take(length)?);
        match coding {
            Coding::Numbers | Coding::Counts => column.numbers(coding == Coding::Counts)?,
            Coding::Actions => {
                ops = column.actions()?;
                ops
            }
            Coding::Actors => column.actors(others as u64)?,
            Coding::Strings => column.strings()?,
            Coding::Booleans => column.booleans()?,
            Coding::Raw => 0,
        };
    }
    if !input.0.is_empty() {
        // Automerge keeps "authors" here: unsigned claims, which the log's signatures replace.
        return Err(Fault::Malformed("trailing bytes"));
    }
    if ops == 0 {
        return Err(Fault::Malformed("no operations"));
    }
    Ok(ops)
}

/// The action that removes, and those that make objects (`automerge::types::OpType::action_index`).
const DELETE: u64 = 3;
const MAKES: [u64; 4] = [0, 2, 4, 6];

/// Bytes not yet read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Fault::Malformed("truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// One LEB128 number; of a signed one the bits, without extending its sign.
    fn number(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        // 64 bits fit into ten groups of seven.
        for shift in (0..70).step_by(7) {
            let &[byte] = self.take(1)? else { break };
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed("number"))
    }

    /// One signed LEB128 number.
    fn signed(&mut self) -> Result<i64, Fault> {
        let before = self.0;
        let value = self.number()?;
        let length = before.len() - self.0.len();
        let negative = before.get(length - 1).is_some_and(|last| last & 0x40 != 0);
        let bits = u32::try_from(length * 7).unwrap_or(u32::MAX);
        let extended = match negative && bits < 64 {
            true => value | (u64::MAX << bits),
            false => value,
        };
        Ok(extended.cast_signed())
    }

    fn at_most(&mut self, limit: u64, what: &'static str) -> Result<usize, Fault> {
        let number = self.number()?;
        if number > limit {
            return Err(Fault::Malformed(what));
        }
        usize::try_from(number).map_err(|_| Fault::Malformed(what))
    }

    fn actor(&mut self) -> Result<(), Fault> {
        if self.number()? != ACTOR_BYTES as u64 {
            return Err(Fault::Malformed("actor"));
        }
        self.take(ACTOR_BYTES).map(drop)
    }

    /// Walks over the runs of a column and adds up their lengths; `value` walks over one value and says how much
    /// it weighs.
    fn runs(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<u64, Fault>,
        most: u64,
    ) -> Result<u64, Fault> {
        let (mut rows, mut weight) = (0_u64, 0_u64);
        while !self.0.is_empty() {
            let length = match self.signed()? {
                // A run of nulls, its length after it.
                0 => self.number()?,
                // A run of one value.
                run if run > 0 => {
                    let weighed = value(self)?;
                    weight = weight.saturating_add(weighed.saturating_mul(run.unsigned_abs()));
                    run.unsigned_abs()
                }
                // A run of different values. Each takes a byte at least, so the loop ends with the input.
                literal => {
                    for _ in 0..literal.unsigned_abs() {
                        weight = weight.saturating_add(value(self)?);
                    }
                    literal.unsigned_abs()
                }
            };
            rows = rows.saturating_add(length);
            if rows > MAX_CHANGE_OPS || weight > most {
                return Err(Fault::TooLarge);
            }
        }
        Ok(rows)
    }

    fn numbers(&mut self, counts: bool) -> Result<u64, Fault> {
        self.runs(Self::number, if counts { MAX_CHANGE_OPS } else { u64::MAX })
    }

    /// Each kind of action has a bound of its own, so the column is walked over once for each.
    fn actions(&mut self) -> Result<u64, Fault> {
        let each = |is: fn(u64) -> bool| {
            move |column: &mut Self| column.number().map(|a| u64::from(is(a)))
        };
        Self(self.0).runs(each(|a| a == DELETE), MAX_CHANGE_VALUES)?;
        Self(self.0).runs(each(|a| MAKES.contains(&a)), MAX_CHANGE_OBJECTS)?;
        self.runs(each(|a| a != DELETE), MAX_CHANGE_VALUES)
    }

    fn actors(&mut self, last: u64) -> Result<u64, Fault> {
        self.runs(|column| column.at_most(last, "actor").map(|_| 0), u64::MAX)
    }

    fn strings(&mut self) -> Result<u64, Fault> {
        self.runs(
            |column| {
                let length = column.at_most(MAX_KEY_BYTES, "string")?;
                column.take(length).map(|_| length as u64)
            },
            MAX_KEYS_BYTES,
        )
    }

    fn booleans(&mut self) -> Result<u64, Fault> {
        let mut rows = 0_u64;
        while !self.0.is_empty() {
            rows = rows.saturating_add(self.number()?);
            if rows > MAX_CHANGE_OPS {
                return Err(Fault::TooLarge);
            }
        }
        Ok(rows)
    }
}
