//! Protocol buffers as they lie in a file: the fields of a message one after another, each with its number and its wire type.
//!
//! Whoever reads a message matches number and type together, and so passes over what it does not know, as the format asks
//! (protobuf.dev, "Encoding"). Nothing is built from a length: a field is a part of the bytes that are there.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// An integer, a boolean or an enum.
    Varint(u64),
    /// A double, or eight bytes of an integer.
    Fixed64(u64),
    /// A text, bytes, a message, or several numbers packed.
    Bytes(&'a [u8]),
    /// A float, or four bytes of an integer.
    Fixed32(u32),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its bytes are no message of protocol buffers")]
pub(super) struct Malformed;

/// The fields of a message, in the order in which they stand.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = varint(&mut self.0)?;
        let number = key >> 3;
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut self.0)?),
            1 => Field::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let length = varint(&mut self.0)?;
                Field::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            // Groups, which no format since 2008 has.
            _ => return None,
        };
        (number != 0).then_some((number, field))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A text.
///
/// # Errors
/// When it is not UTF-8: then the bytes are no message of this kind.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// The integer of a `sint64`: 0, -1, 1, -2, ...
pub(super) fn zigzag(varint: u64) -> i64 {
    (varint >> 1) as i64 ^ -((varint & 1) as i64)
}

/// The numbers of a repeated field, packed or one by one.
pub(super) fn varints<'a>(field: Field<'a>) -> impl Iterator<Item = Result<u64, Malformed>> + use<'a> {
    let (single, mut packed) = match field {
        Field::Varint(value) => (Some(Ok(value)), &[][..]),
        Field::Bytes(bytes) => (None, bytes),
        Field::Fixed32(_) | Field::Fixed64(_) => (None, &[][..]),
    };
    let rest = std::iter::from_fn(move || {
        if packed.is_empty() {
            return None;
        }
        let value = varint(&mut packed);
        if value.is_none() {
            packed = &[];
        }
        Some(value.ok_or(Malformed))
    });
    single.into_iter().chain(rest)
}

#[cfg(test)]
pub(super) mod testing {
    //! Messages written by hand.

    /// A message that grows field by field.
    #[derive(Clone, Debug, Default)]
    pub struct Message(pub Vec<u8>);

    impl Message {
        fn raw(mut self, mut value: u64) -> Self {
            while value >= 0x80 {
                self.0.push(value as u8 | 0x80);
                value >>= 7;
            }
            self.0.push(value as u8);
            self
        }

        pub fn varint(self, number: u64, value: u64) -> Self {
            self.raw(number << 3).raw(value)
        }

        pub fn double(self, number: u64, value: f64) -> Self {
            let mut message = self.raw(number << 3 | 1);
            message.0.extend(value.to_bits().to_le_bytes());
            message
        }

        pub fn float(self, number: u64, value: f32) -> Self {
            let mut message = self.raw(number << 3 | 5);
            message.0.extend(value.to_bits().to_le_bytes());
            message
        }

        pub fn bytes(self, number: u64, value: impl AsRef<[u8]>) -> Self {
            let value = value.as_ref();
            let mut message = self.raw(number << 3 | 2).raw(value.len() as u64);
            message.0.extend(value);
            message
        }

        pub fn message(self, number: u64, value: &Self) -> Self {
            self.bytes(number, &value.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::Message;
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read() {
        // protobuf.dev, "Encoding": `a: 150`, `b: "testing"`.
        let fields: Vec<_> = Fields::of(b"\x08\x96\x01\x12\x07testing").collect::<Result<_, _>>().unwrap();
        assert_eq!(fields, [(1, Field::Varint(150)), (2, Field::Bytes(b"testing"))]);
        let packed: Vec<u64> = varints(Field::Bytes(&[3, 0x8e, 2, 0x9e, 0xa7, 5])).map(Result::unwrap).collect();
        assert_eq!(packed, [3, 270, 86_942]);
        let zigzags: Vec<i64> = [0, 1, 2, 3, u64::MAX - 1, u64::MAX].into_iter().map(zigzag).collect();
        assert_eq!(zigzags, [0, -1, 1, -2, i64::MAX, i64::MIN]);
    }

    #[test]
    fn what_is_no_message_ends_at_once() {
        for bytes in [
            &b"\x08"[..],
            b"\x12\x05abc",
            b"\x09\0\0",
            b"\x0b\x0c",
            b"\0\0",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            let fields: Vec<_> = Fields::of(bytes).collect();
            assert_eq!(fields, [Err(Malformed)], "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fields in prop::collection::vec((1_u64..300, any::<u64>(), 0..4), 0..20)) {
            let mut message = Message::default();
            for (number, value, kind) in &fields {
                message = match kind {
                    0 => message.varint(*number, *value),
                    1 => message.double(*number, f64::from_bits(*value)),
                    2 => message.bytes(*number, value.to_le_bytes()),
                    _ => message.float(*number, f32::from_bits(*value as u32)),
                };
            }
            let read: Vec<_> = Fields::of(&message.0).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), fields.len());
            for ((number, value, kind), (found, field)) in fields.iter().zip(read) {
                let same = match field {
                    Field::Varint(read) => *kind == 0 && read == *value,
                    Field::Fixed64(read) => *kind == 1 && read == *value,
                    Field::Bytes(read) => *kind == 2 && read == value.to_le_bytes(),
                    Field::Fixed32(read) => *kind == 3 && read == *value as u32,
                };
                prop_assert!(same && found == *number);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}
