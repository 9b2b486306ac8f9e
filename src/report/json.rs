//! One spelling of what JSON has no number for: `"NaN"`, `"Infinity"` and `"-Infinity"`, as strings, wherever a value of a
//! report is not finite. `null` is left to what is not known.
//!
//! [`Exact`] hands everything else to the serializer that it wraps.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A value whose numbers are spelled so that none of them becomes `null`.
#[derive(Clone, Copy, Debug)]
pub struct Exact<T>(pub T);

impl<T: Serialize> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Spelling(serializer))
    }
}

/// A value as JSON.
pub fn value(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(Exact(value)).expect("invariant: reports have string keys")
}

/// How a number that is not finite is spelled.
fn spelled(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_finite() => None,
        _ if value.is_nan() => Some("NaN"),
        _ if value > 0.0 => Some("Infinity"),
        _ => Some("-Infinity"),
    }
}

/// A serializer, or a part of one, that spells the numbers of another.
struct Spelling<S>(S);

/// Hands plain values on as they are.
macro_rules! plain {
    ($($method:ident: $kind:ty),*) => {$(
        fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for Spelling<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Spelling<S::SerializeSeq>;
    type SerializeTuple = Spelling<S::SerializeTuple>;
    type SerializeTupleStruct = Spelling<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Spelling<S::SerializeTupleVariant>;
    type SerializeMap = Spelling<S::SerializeMap>;
    type SerializeStruct = Spelling<S::SerializeStruct>;
    type SerializeStructVariant = Spelling<S::SerializeStructVariant>;

    plain!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str
    );

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        match spelled(value.into()) {
            Some(word) => self.0.serialize_str(word),
            None => self.0.serialize_f32(value),
        }
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        match spelled(value) {
            Some(word) => self.0.serialize_str(word),
            None => self.0.serialize_f64(value),
        }
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Exact(value))
    }

    fn serialize_unit_variant(self, name: &'static str, at: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, at, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Exact(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, at, variant, &Exact(value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(length).map(Spelling)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(length).map(Spelling)
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, length).map(Spelling)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, at, variant, length).map(Spelling)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(length).map(Spelling)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, length).map(Spelling)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, at, variant, length).map(Spelling)
    }
}

/// The parts of a list, each spelled.
macro_rules! of_items {
    ($($part:ident: $method:ident),*) => {$(
        impl<S: $part> $part for Spelling<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Exact(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

of_items!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

/// The parts of an object, each spelled.
macro_rules! of_fields {
    ($($part:ident),*) => {$(
        impl<S: $part> $part for Spelling<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
                self.0.serialize_field(key, &Exact(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

of_fields!(SerializeStruct, SerializeStructVariant);

impl<S: SerializeMap> SerializeMap for Spelling<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Exact(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(f64),
        Pair(f64, u8),
        Named { value: f64 },
    }

    #[derive(Serialize)]
    struct Everything {
        number: f64,
        small: f32,
        maybe: Option<f64>,
        nothing: Option<f64>,
        list: Vec<f64>,
        pair: (f64, bool),
        map: BTreeMap<String, f64>,
        shapes: Vec<Shape>,
    }

    #[test]
    fn what_is_not_finite_is_spelled_wherever_it_stands() {
        let everything = Everything {
            number: f64::NAN,
            small: f32::NEG_INFINITY,
            maybe: Some(f64::INFINITY),
            nothing: None,
            list: vec![1.5, f64::NAN],
            pair: (f64::NEG_INFINITY, true),
            map: BTreeMap::from([("a".to_owned(), f64::NAN)]),
            shapes: vec![
                Shape::Unit,
                Shape::New(f64::NAN),
                Shape::Pair(f64::INFINITY, 1),
                Shape::Named { value: f64::NAN },
            ],
        };
        let expected = json!({
            "number": "NaN", "small": "-Infinity", "maybe": "Infinity", "nothing": null, "list": [1.5, "NaN"],
            "pair": ["-Infinity", true], "map": { "a": "NaN" },
            "shapes": ["Unit", { "New": "NaN" }, { "Pair": ["Infinity", 1] }, { "Named": { "value": "NaN" } }],
        });
        assert_eq!(serde_json::to_value(Exact(&everything)).unwrap(), expected);
    }

    proptest! {
        /// What is finite is as it was, bit for bit.
        #[test]
        fn finite_values_are_left_alone(values in prop::collection::vec(any::<f64>(), 0..8)) {
            let finite = values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
            prop_assert_eq!(
                serde_json::to_string(&Exact(&finite)).unwrap(),
                serde_json::to_string(&finite).unwrap()
            );
            let all = serde_json::to_string(&Exact(&values)).unwrap();
            prop_assert!(!all.contains("null"), "{}", all);
        }
    }
}
