//! What an event says: scalars in each of their three spellings, settings, texts, and the names of what has no place here.
//!
//! Field numbers are those of `event.proto`, `summary.proto`, `tensor.proto` and the plugin `hparams`, in the package
//! `tensorboard`.

use serde_json::{Map, Value, json};

use crate::exchange::intake::setting;
use crate::exchange::wire::{Field, Fields, Malformed, text, varints};

/// An event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// Seconds since 1970.
    pub wall_time: f64,
    pub step: i64,
    pub what: What<'a>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What<'a> {
    /// Nothing to keep: the version of the file, or no content at all.
    Nothing,
    /// A message with values.
    Summary(&'a [u8]),
    /// The program began again at this step: what was logged for it and later ones is void.
    Restart,
    /// Something that has no place here, in words.
    Other(&'static str),
}

impl<'a> Event<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        const START: u64 = 1;

        let mut event = Self { wall_time: 0.0, step: 0, what: What::Nothing };
        for field in Fields::of(message) {
            match field? {
                (1, Field::Fixed64(bits)) => event.wall_time = f64::from_bits(bits),
                (2, Field::Varint(step)) => event.step = step as i64,
                (4, Field::Bytes(_)) => event.what = What::Other("graphs"),
                (5, Field::Bytes(summary)) => event.what = What::Summary(summary),
                (6, Field::Bytes(_)) => event.what = What::Other("log messages"),
                (7, Field::Bytes(log)) => {
                    let mut status = 0;
                    for field in Fields::of(log) {
                        if let (1, Field::Varint(its)) = field? {
                            status = its;
                        }
                    }
                    event.what = if status == START { What::Restart } else { What::Nothing };
                }
                (8, Field::Bytes(_)) => event.what = What::Other("run metadata"),
                (9, Field::Bytes(_)) => event.what = What::Other("meta graphs"),
                _ => {}
            }
        }
        Ok(event)
    }
}

/// A value of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summed<'a> {
    pub tag: &'a str,
    /// The plugin that it is for, and what the plugin says; a writer may say so of the first value of a tag alone.
    pub plugin: Option<(&'a str, &'a [u8])>,
    pub data: Data<'a>,
}

/// What a value holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Data<'a> {
    Nothing,
    Scalar(f32),
    /// A message that is a tensor: of what, the plugin says.
    Tensor(&'a [u8]),
    /// Something that has no place here, in words.
    Other(&'static str),
}

/// The values of a summary.
pub fn values<'a>(summary: &'a [u8]) -> impl Iterator<Item = Result<Summed<'a>, Malformed>> {
    Fields::of(summary).filter_map(|field| match field {
        Ok((1, Field::Bytes(value))) => Some(summed(value)),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

fn summed(message: &[u8]) -> Result<Summed<'_>, Malformed> {
    let mut value = Summed { tag: "", plugin: None, data: Data::Nothing };
    let mut node = "";
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(tag)) => value.tag = text(tag)?,
            (2, Field::Fixed32(bits)) => value.data = Data::Scalar(f32::from_bits(bits)),
            (3 | 5, Field::Bytes(_)) => value.data = Data::Other("histograms"),
            (4, Field::Bytes(_)) => value.data = Data::Other("images"),
            (6, Field::Bytes(_)) => value.data = Data::Other("audio"),
            (7, Field::Bytes(name)) => node = text(name)?,
            (8, Field::Bytes(tensor)) => value.data = Data::Tensor(tensor),
            (9, Field::Bytes(metadata)) => {
                for field in Fields::of(metadata) {
                    if let (1, Field::Bytes(plugin)) = field? {
                        value.plugin = Some(plugin_data(plugin)?);
                    }
                }
            }
            _ => {}
        }
    }
    // Tensors had no tags once.
    if value.tag.is_empty() && matches!(value.data, Data::Tensor(_)) {
        value.tag = node;
    }
    Ok(value)
}

fn plugin_data(message: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let (mut name, mut content) = ("", &[][..]);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(bytes)) => name = text(bytes)?,
            (2, Field::Bytes(bytes)) => content = bytes,
            _ => {}
        }
    }
    Ok((name, content))
}

/// The one number of a tensor, and whether an `f64` holds it exactly.
///
/// # Errors
/// Why it is not one number.
pub fn scalar(tensor: &[u8]) -> Result<(f64, bool), String> {
    let tensor = Tensor::read(tensor).map_err(|malformed| malformed.to_string())?;
    if tensor.elements != Some(1) {
        return Err("a scalar of several numbers".to_owned());
    }
    tensor.number().ok_or_else(|| format!("a scalar of the type {}", tensor.kind))
}

/// The texts of a tensor.
///
/// # Errors
/// Why it has none.
pub fn texts(tensor: &[u8]) -> Result<Vec<&str>, String> {
    const STRING: u64 = 7;

    let tensor = Tensor::read(tensor).map_err(|malformed| malformed.to_string())?;
    if tensor.kind != STRING {
        return Err(format!("a text of the type {}", tensor.kind));
    }
    tensor.texts.iter().map(|bytes| text(bytes).map_err(|_| "a text that is not UTF-8".to_owned())).collect()
}

/// A tensor, as far as one number or texts are concerned.
struct Tensor<'a> {
    /// A `DataType`.
    kind: u64,
    /// How many numbers its shape has; none where that overflows.
    elements: Option<u64>,
    /// Its numbers in the machine's order, little-endian.
    content: &'a [u8],
    /// The first number of each field that has numbers: an integer's, or a float's bits.
    first: [Option<u64>; 18],
    texts: Vec<&'a [u8]>,
}

impl<'a> Tensor<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut tensor = Self { kind: 0, elements: Some(1), content: &[], first: [None; 18], texts: Vec::new() };
        for field in Fields::of(message) {
            let (number, field) = field?;
            match (number, field) {
                (1, Field::Varint(kind)) => tensor.kind = kind,
                (2, Field::Bytes(shape)) => tensor.elements = elements(shape)?,
                (4, Field::Bytes(content)) => tensor.content = content,
                (8, Field::Bytes(text)) => tensor.texts.push(text),
                (5, field) => tensor.first[5] = tensor.first[5].or(first_of::<4>(field)?),
                (6, field) => tensor.first[6] = tensor.first[6].or(first_of::<8>(field)?),
                (7 | 10 | 11 | 13 | 16 | 17, field) => {
                    let first = varints(field).next().transpose()?;
                    let at = number as usize;
                    tensor.first[at] = tensor.first[at].or(first);
                }
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// Its first number, and whether an `f64` holds it exactly. A tensor that leaves its numbers out is zero, as TensorFlow reads it.
    fn number(&self) -> Option<(f64, bool)> {
        let raw = |bytes: usize, field: usize| {
            if self.content.is_empty() {
                return Some(self.first[field].unwrap_or(0));
            }
            (self.content.len() == bytes).then(|| {
                let mut number = [0; 8];
                number[..bytes].copy_from_slice(self.content);
                u64::from_le_bytes(number)
            })
        };
        let float = |value: f64| Some((value, true));
        let signed = |value: i64| Some((value as f64, value as f64 as i128 == i128::from(value)));
        let unsigned = |value: u64| Some((value as f64, value as f64 as u128 == u128::from(value)));
        match self.kind {
            1 => float(f64::from(f32::from_bits(raw(4, 5)? as u32))),
            2 => float(f64::from_bits(raw(8, 6)?)),
            3 => signed(i64::from(raw(4, 7)? as i32)),
            4 => unsigned(u64::from(raw(1, 7)? as u8)),
            5 => signed(i64::from(raw(2, 7)? as i16)),
            6 => signed(i64::from(raw(1, 7)? as i8)),
            9 => signed(raw(8, 10)? as i64),
            10 => unsigned(u64::from(raw(1, 11)? != 0)),
            14 => float(f64::from(f32::from_bits((raw(2, 13)? as u32) << 16))),
            17 => unsigned(u64::from(raw(2, 7)? as u16)),
            19 => float(half(raw(2, 13)? as u16)),
            22 => unsigned(u64::from(raw(4, 16)? as u32)),
            23 => unsigned(raw(8, 17)?),
            _ => None,
        }
    }
}

/// The first of several floats of so many bytes, packed or alone.
fn first_of<const BYTES: usize>(field: Field<'_>) -> Result<Option<u64>, Malformed> {
    match field {
        Field::Fixed32(bits) if BYTES == 4 => Ok(Some(u64::from(bits))),
        Field::Fixed64(bits) if BYTES == 8 => Ok(Some(bits)),
        Field::Bytes([]) => Ok(None),
        Field::Bytes(packed) => {
            let bytes: &[u8; BYTES] = packed.first_chunk().ok_or(Malformed)?;
            let mut number = [0; 8];
            number[..BYTES].copy_from_slice(bytes);
            Ok(Some(u64::from_le_bytes(number)))
        }
        _ => Ok(None),
    }
}

/// The product of the sizes of a shape.
fn elements(shape: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut product = Some(1_u64);
    for field in Fields::of(shape) {
        if let (2, Field::Bytes(dimension)) = field? {
            let mut size = 0;
            for field in Fields::of(dimension) {
                if let (1, Field::Varint(its)) = field? {
                    size = its;
                }
            }
            product = product.and_then(|product| product.checked_mul(size));
        }
    }
    Ok(product)
}

/// The number of an IEEE 754 half: a sign, 5 bits of an exponent, 10 of a fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

/// What the plugin `hparams` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Session {
    /// The settings of the run.
    Start(Map<String, Value>),
    End {
        /// 1: it succeeded, 2: it failed, 3: it runs.
        status: u64,
        /// Seconds since 1970.
        at: Option<f64>,
    },
    /// Which settings and metrics a page may show.
    Experiment,
}

/// Reads what the plugin `hparams` says; none where it says nothing.
///
/// # Errors
/// When it is no such message.
pub fn session(message: &[u8]) -> Result<Option<Session>, Malformed> {
    let mut said = None;
    for field in Fields::of(message) {
        match field? {
            (2, Field::Bytes(_)) => said = Some(Session::Experiment),
            (3, Field::Bytes(start)) => {
                let mut settings = Map::new();
                for field in Fields::of(start) {
                    if let (1, Field::Bytes(entry)) = field? {
                        let (key, value) = entry_of(entry, 0)?;
                        settings.insert(key, value);
                    }
                }
                said = Some(Session::Start(settings));
            }
            (4, Field::Bytes(end)) => {
                let (mut status, mut at) = (0, None);
                for field in Fields::of(end) {
                    match field? {
                        (1, Field::Varint(its)) => status = its,
                        (2, Field::Fixed64(bits)) => at = Some(f64::from_bits(bits)),
                        _ => {}
                    }
                }
                said = Some(Session::End { status, at });
            }
            _ => {}
        }
    }
    Ok(said)
}

/// A key and its value.
fn entry_of(message: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut value) = ("", Value::Null);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(bytes)) => key = text(bytes)?,
            (2, Field::Bytes(bytes)) => value = value_of(bytes, depth)?,
            _ => {}
        }
    }
    Ok((key.to_owned(), value))
}

/// A `google.protobuf.Value`: what JSON can say.
fn value_of(message: &[u8], depth: usize) -> Result<Value, Malformed> {
    const DEEPEST: usize = 32;

    if depth > DEEPEST {
        return Err(Malformed);
    }
    let mut value = Value::Null;
    for field in Fields::of(message) {
        value = match field? {
            (1, Field::Varint(_)) => Value::Null,
            (2, Field::Fixed64(bits)) => setting(f64::from_bits(bits)),
            (3, Field::Bytes(bytes)) => json!(text(bytes)?),
            (4, Field::Varint(is_true)) => json!(is_true != 0),
            (5, Field::Bytes(fields)) => {
                let mut object = Map::new();
                for field in Fields::of(fields) {
                    if let (1, Field::Bytes(entry)) = field? {
                        object.extend([entry_of(entry, depth + 1)?]);
                    }
                }
                Value::Object(object)
            }
            (6, Field::Bytes(items)) => {
                let mut list = Vec::new();
                for field in Fields::of(items) {
                    if let (1, Field::Bytes(item)) = field? {
                        list.push(value_of(item, depth + 1)?);
                    }
                }
                Value::Array(list)
            }
            _ => value,
        };
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wire::testing::Message;

    fn number(tensor: Message) -> String {
        match scalar(&tensor.0) {
            Ok((value, true)) => format!("{value:?}"),
            Ok((value, false)) => format!("about {value:?}"),
            Err(why) => why,
        }
    }

    #[test]
    fn one_number_of_every_type_is_read() {
        let of = |kind: u64| Message::default().varint(1, kind);
        for (tensor, expected) in [
            (of(1).float(5, 0.1), "0.10000000149011612"),
            (of(1).bytes(5, 0.1_f32.to_le_bytes()), "0.10000000149011612"),
            (of(1).bytes(4, (-0.0_f32).to_le_bytes()), "-0.0"),
            (of(1), "0.0"),
            (of(2).double(6, 5e-324), "5e-324"),
            (of(2).bytes(4, f64::NEG_INFINITY.to_le_bytes()), "-inf"),
            (of(3).varint(7, -5_i64 as u64), "-5.0"),
            (of(4).bytes(4, [200]), "200.0"),
            (of(5).bytes(4, (-2_i16).to_le_bytes()), "-2.0"),
            (of(6).bytes(4, [0xff]), "-1.0"),
            (of(9).varint(10, 1 << 60 | 1), "about 1.152921504606847e18"),
            (of(9).bytes(10, [7]), "7.0"),
            (of(9).varint(10, i64::MAX as u64), "about 9.223372036854776e18"),
            (of(10).varint(11, 1), "1.0"),
            (of(14).varint(13, 0x3fc0), "1.5"),
            (of(17).bytes(4, [0xff, 0xff]), "65535.0"),
            (of(19).varint(13, 0x3555), "0.333251953125"),
            (of(19).bytes(4, [1, 0]), "5.960464477539063e-8"),
            (of(19).varint(13, 0xfc00), "-inf"),
            (of(22).varint(16, u64::from(u32::MAX)), "4294967295.0"),
            (of(23).varint(17, u64::MAX), "about 1.8446744073709552e19"),
            (of(8), "a scalar of the type 8"),
            (of(1).bytes(4, [0; 8]), "a scalar of the type 1"),
            (
                of(1).bytes(2, Message::default().bytes(2, Message::default().varint(1, 2).0).0),
                "a scalar of several numbers",
            ),
            (Message(vec![0xff]), "its bytes are no message of protocol buffers"),
        ] {
            assert_eq!(number(tensor.clone()), expected, "{tensor:?}");
        }
        let one = Message::default().bytes(2, Message::default().varint(1, 1).0);
        assert_eq!(number(of(1).message(2, &one).float(5, 2.0)), "2.0");
    }

    #[test]
    fn halves_are_those_of_the_standard() {
        // Every half is the float with the same sign, exponent and fraction.
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (bits >> 10 & 31, u32::from(bits & 1023));
            let sign = u32::from(bits >> 15) << 31;
            let float = match exponent {
                0 => f32::from_bits(sign) + fraction as f32 / 16_777_216.0 * if sign == 0 { 1.0 } else { -1.0 },
                31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
                _ => f32::from_bits(sign | (u32::from(exponent) + 112) << 23 | fraction << 13),
            };
            let found = half(bits);
            assert!(found.to_bits() == f64::from(float).to_bits() || found.is_nan() && float.is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn settings_of_the_plugin_are_json() {
        let value = |message: Message| Message::default().bytes(1, "k").message(2, &message);
        let item = |message: Message| Message::default().message(1, &message);
        let list =
            Message([item(Message::default().double(2, 1.0)).0, item(Message::default().varint(1, 0)).0].concat());
        for (message, expected) in [
            (Message::default().double(2, 0.1), json!(0.1)),
            (Message::default().double(2, 32.0), json!(32)),
            (Message::default().double(2, f64::NAN), json!("NaN")),
            (Message::default().bytes(3, "한글"), json!("한글")),
            (Message::default().varint(4, 1), json!(true)),
            (Message::default().varint(1, 0), json!(null)),
            (Message::default().message(6, &list), json!([1, null])),
            (Message::default().message(5, &item(value(Message::default().varint(4, 0)))), json!({ "k": false })),
        ] {
            let start = Message::default().message(3, &Message::default().message(1, &value(message)));
            let mut settings = Map::new();
            settings.insert("k".to_owned(), expected);
            assert_eq!(session(&start.0), Ok(Some(Session::Start(settings))));
        }
        let end = Message::default().message(4, &Message::default().varint(1, 2).double(2, 7.5));
        assert_eq!(session(&end.0), Ok(Some(Session::End { status: 2, at: Some(7.5) })));
        let mut deep = Message::default().double(2, 1.0);
        for _ in 0..100 {
            deep = Message::default().message(6, &Message::default().message(1, &deep));
        }
        assert_eq!(value_of(&deep.0, 0), Err(Malformed));
    }
}
