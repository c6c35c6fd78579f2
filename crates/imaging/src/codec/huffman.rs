//! Huffman codes of JPEG (ITU-T T.81, annexes C and F.2.2).

use super::{CUT_OFF, Refusal};

/// One table: codes of up to 16 bits in canonical order.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// For codes of `n + 1` bits: the first that is longer, shifted left to 16 bits.
    ends: [u32; 16],
    /// For codes of `n + 1` bits: what to add to a code to find its value.
    offsets: [i32; 16],
    values: Vec<u8>,
    /// By the next 8 bits: length and value of a code of at most 8 bits; length 0 for longer ones.
    short: Box<[(u8, u8); 256]>,
}

impl Table {
    /// Reads the content of a DHT segment into the tables of class 0 (DC, lossless) and 1 (AC).
    pub(crate) fn read_all(
        mut content: &[u8],
        tables: &mut [[Option<Self>; 4]; 2],
    ) -> Result<(), Refusal> {
        const BROKEN: Refusal = "a Huffman table is damaged";
        while let Some((class_and_id, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(BROKEN)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest.split_at_checked(total).ok_or(BROKEN)?;
            let class = usize::from(class_and_id >> 4);
            let id = usize::from(class_and_id & 15);
            let slot = tables
                .get_mut(class)
                .and_then(|of_class| of_class.get_mut(id));
            *slot.ok_or(BROKEN)? = Some(Self::new(counts, values).ok_or(BROKEN)?);
            content = rest;
        }
        Ok(())
    }

    fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut table = Self {
            ends: [0; 16],
            offsets: [0; 16],
            values: values.to_vec(),
            short: Box::new([(0, 0); 256]),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u8..).zip(counts) {
            let count = usize::from(*count);
            table.offsets[usize::from(length) - 1] =
                i32::try_from(index).ok()? - i32::try_from(code).ok()?;
            if length <= 8 {
                for (offset, value) in (0_u32..).zip(values.get(index..index + count)?) {
                    let first = ((code + offset) as usize) << (8 - length);
                    let last = first + (1 << (8 - length));
                    table.short.get_mut(first..last)?.fill((length, *value));
                }
            }
            code += u32::try_from(count).ok()?;
            index += count;
            if code > 1 << length {
                return None;
            }
            table.ends[usize::from(length) - 1] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// Bits of entropy-coded data, most significant first; a zero byte after each 0xff is left out.
pub(crate) struct Bits<'a> {
    rest: &'a [u8],
    window: u64,
    available: u32,
    /// Zeros that were made up because the data had ended.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            window: 0,
            available: 0,
            invented: 0,
        }
    }

    /// Fills up to at least 32 bits, with zeros where a marker or the end stands.
    fn fill(&mut self) {
        while self.available <= 48 {
            let byte = match *self.rest {
                [0xff, 0, ref rest @ ..] => {
                    self.rest = rest;
                    0xff
                }
                [byte, ref rest @ ..] if byte != 0xff => {
                    self.rest = rest;
                    byte
                }
                _ => {
                    self.invented += 8;
                    0
                }
            };
            self.window = self.window << 8 | u64::from(byte);
            self.available += 8;
        }
    }

    /// The next `count` bits, at most 16, without taking them.
    fn peek(&mut self, count: u32) -> u32 {
        if self.available < count {
            self.fill();
        }
        let bits = self.window >> (self.available - count);
        low(bits, count)
    }

    fn take(&mut self, count: u32) -> Result<(), Refusal> {
        self.available -= count;
        if self.available < self.invented {
            return Err(CUT_OFF);
        }
        Ok(())
    }

    /// The next `count` bits, at most 16.
    pub(crate) fn read(&mut self, count: u32) -> Result<u32, Refusal> {
        if count == 0 {
            return Ok(0);
        }
        let bits = self.peek(count);
        self.take(count)?;
        Ok(bits)
    }

    /// The next `count` bits as a difference of that magnitude category (table F.1).
    pub(crate) fn difference(&mut self, count: u32) -> Result<i32, Refusal> {
        if count == 0 {
            return Ok(0);
        }
        let bits = self.read(count)?.cast_signed();
        Ok(if bits < 1 << (count - 1) {
            bits - (1 << count) + 1
        } else {
            bits
        })
    }

    /// The next value by this table.
    pub(crate) fn decode(&mut self, table: &Table) -> Result<u8, Refusal> {
        let code = self.peek(16);
        let (length, value) = table.short[(code >> 8) as usize];
        if length > 0 {
            self.take(u32::from(length))?;
            return Ok(value);
        }
        for (length, (end, offset)) in (1_u32..).zip(table.ends.iter().zip(&table.offsets)) {
            if code < *end {
                self.take(length)?;
                let index = (code >> (16 - length)).cast_signed() + offset;
                return usize::try_from(index)
                    .ok()
                    .and_then(|index| table.values.get(index))
                    .copied()
                    .ok_or("a Huffman code stands for nothing");
            }
        }
        Err("a Huffman code stands for nothing")
    }

    /// Goes to the restart marker that is due.
    pub(crate) fn restart(&mut self) -> Result<(), Refusal> {
        self.window = 0;
        self.available = 0;
        self.invented = 0;
        self.rest = self.at_marker();
        match *self.rest {
            [0xff, 0xd0..=0xd7, ref rest @ ..] => {
                self.rest = rest;
                Ok(())
            }
            _ => Err("a restart marker is missing"),
        }
    }

    /// What follows the entropy-coded data, from its marker on.
    pub(crate) fn at_marker(&self) -> &'a [u8] {
        let mut rest = self.rest;
        loop {
            match *rest {
                [] | [0xff, 1..=0xfe, ..] => return rest,
                [_, ref after @ ..] => rest = after,
            }
        }
    }
}

/// The low `count` bits, at most 31.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off is masked out"
)]
pub(super) fn low(bits: u64, count: u32) -> u32 {
    bits as u32 & ((1 << count) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_canonical() {
        // Codes 00, 01, 10 and 110 for 5, 6, 7 and 8.
        let mut counts = [0; 16];
        counts[1] = 3;
        counts[2] = 1;
        let table = Table::new(&counts, &[5, 6, 7, 8]).unwrap();
        let mut bits = Bits::new(&[0b1101_0010, 0b0110_0000]);
        let values: Vec<u8> = (0..4).map(|_| bits.decode(&table).unwrap()).collect();
        assert_eq!(values, [8, 7, 6, 5]);
    }

    #[test]
    fn too_many_codes_of_a_length_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut bits = Bits::new(&[0xff, 0, 0xff, 0xd9]);
        assert_eq!(bits.read(8), Ok(0xff));
        assert_eq!(bits.read(1), Err(CUT_OFF));
    }
}
