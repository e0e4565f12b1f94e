//! What a `.npy` file says of itself: kind of number, order, shape, as the literal of a Python dictionary.

use std::io::Read;

use super::shown;

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    pub(super) family: Family,
    /// Bytes of one number, or of one part of a complex one.
    pub(super) bytes: usize,
    pub(super) big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    Bool,
    Signed,
    Unsigned,
    Float,
    Complex,
}

/// A header that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) columns_first: bool,
    pub(super) shape: Vec<usize>,
}

/// The most numbers that are read: 2^31, 8 GiB as f32.
const MOST: usize = 1 << 31;

/// The longest header. NumPy itself refuses more than 10 000 bytes.
const LONGEST: usize = 1 << 16;

impl Header {
    /// Reads up to the first number.
    pub(super) fn read(mut from: impl Read) -> Result<Header, String> {
        let mut start = [0; 8];
        let short = |_| "it ends within its header; get it again".to_owned();
        from.read_exact(&mut start).map_err(short)?;
        let [magic @ .., major, _] = start;
        if magic != *b"\x93NUMPY" {
            return Err("not a NumPy array; write it with numpy.save".into());
        }
        let mut length = [0; 4];
        let bytes = match major {
            1 => 2,
            2 | 3 => 4,
            _ => {
                return Err(format!(
                    "an array of format {major}, which is not read; save it again"
                ));
            }
        };
        from.read_exact(&mut length[..bytes]).map_err(short)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(format!(
                "its header has {length} bytes, which is no array's; get it again"
            ));
        }
        let mut text = vec![0; length];
        from.read_exact(&mut text).map_err(short)?;
        let text = std::str::from_utf8(&text).map_err(|_| "its header is no text".to_owned())?;
        parse(text)
    }

    /// How many numbers there are, complex ones counted twice.
    pub(super) fn numbers(&self) -> Result<usize, String> {
        let parts = if self.complex() { 2 } else { 1 };
        let mut sides = self.shape.iter();
        let all = sides.try_fold(parts, |n: usize, &side| n.checked_mul(side));
        match all {
            Some(0) => Err(format!(
                "its shape, {}, holds no number",
                shown(&self.shape)
            )),
            Some(n) if n <= MOST => Ok(n),
            _ => Err(format!(
                "its shape is {}: more than the {MOST} numbers that are read",
                shown(&self.shape)
            )),
        }
    }

    pub(super) fn complex(&self) -> bool {
        self.kind.family == Family::Complex
    }

    /// That of f32 in rows, as it is written.
    pub(super) fn write(shape: &[usize]) -> Vec<u8> {
        let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
        let sides = match shape.len() {
            1 => sides.trim_end(),
            _ => sides.trim_end_matches(", "),
        };
        let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
        // All before the numbers is a multiple of 64 bytes long, with a line's end.
        while !(10 + text.len() + 1).is_multiple_of(64) {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }
}

fn parse(text: &str) -> Result<Header, String> {
    let mut words = Words(text);
    let (mut kind, mut columns_first, mut shape) = (None, None, None);
    words.expect("{")?;
    while !words.take("}") {
        match words.string()? {
            "descr" => {
                words.expect(":")?;
                kind = Some(words.kind()?);
            }
            "fortran_order" => {
                words.expect(":")?;
                columns_first = Some(words.boolean()?);
            }
            "shape" => {
                words.expect(":")?;
                shape = Some(words.shape()?);
            }
            other => {
                return Err(format!(
                    "its header says `{}`, which no array's does",
                    clean(other)
                ));
            }
        }
        if !words.take(",") {
            words.expect("}")?;
            break;
        }
    }
    if !words.0.trim().is_empty() {
        return Err(unclear(words.0));
    }
    match (kind, columns_first, shape) {
        (Some(kind), Some(columns_first), Some(shape)) => Ok(Header {
            kind,
            columns_first,
            shape,
        }),
        _ => Err("its header lacks descr, fortran_order or shape; save it again".into()),
    }
}

fn unclear(rest: &str) -> String {
    format!(
        "its header is not understood at `{}`; save it again with numpy.save",
        clean(rest)
    )
}

/// The beginning of a text, fit for a line.
fn clean(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let start: String = text.trim().chars().take(24).map(plain).collect();
    start.trim().to_owned()
}

/// What is left of the dictionary.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn take(&mut self, word: &str) -> bool {
        let text = self.0.trim_start();
        match text.strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        match self.take(word) {
            true => Ok(()),
            false => Err(unclear(self.0)),
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c));
        let inside = quote.and_then(|quote| text[1..].split_once(quote));
        let (inside, rest) = inside.ok_or_else(|| unclear(text))?;
        self.0 = rest;
        Ok(inside)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.take("True") {
            true => Ok(true),
            false => self.expect("False").map(|()| false),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let text = self.0.trim_start();
            let end = text.find(|c: char| !c.is_ascii_digit());
            let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
            let side = digits.parse().map_err(|_| unclear(text))?;
            if shape.len() == 32 {
                return Err("it has more than 32 axes".into());
            }
            shape.push(side);
            // Python 2 wrote long numbers.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn kind(&mut self) -> Result<Kind, String> {
        if self.0.trim_start().starts_with('[') {
            return Err(
                "it holds records of several numbers; save one array of plain numbers".into(),
            );
        }
        let text = self.string()?;
        let unknown = || {
            format!(
                "it holds numbers of the kind `{}`, which are not read; save them as float32",
                clean(text)
            )
        };
        let mut letters = text.chars();
        let (order, family) = match (letters.next(), letters.next()) {
            (Some(order @ ('<' | '>' | '|' | '=')), Some(family)) => (order, family),
            (Some('O'), _) => ('|', 'O'),
            _ => return Err(unknown()),
        };
        let bytes: usize = letters.as_str().parse().unwrap_or(0);
        let (family, bytes) = match (family, bytes) {
            ('b', 1) => (Family::Bool, 1),
            ('i', 1 | 2 | 4 | 8) => (Family::Signed, bytes),
            ('u', 1 | 2 | 4 | 8) => (Family::Unsigned, bytes),
            ('f', 2 | 4 | 8) => (Family::Float, bytes),
            ('c', 8 | 16) => (Family::Complex, bytes / 2),
            ('O', _) => {
                return Err(
                    "it holds Python objects, which are not read; save plain numbers".into(),
                );
            }
            _ => return Err(unknown()),
        };
        if order == '|' && bytes > 1 {
            return Err(unknown());
        }
        Ok(Kind {
            family,
            bytes,
            big_endian: order == '>',
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes() {
        let header =
            parse("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }  \n").unwrap();
        assert_eq!(header.shape, [3, 4]);
        assert!(header.columns_first && !header.kind.big_endian);
        assert_eq!((header.kind.family, header.kind.bytes), (Family::Float, 8));
        for (text, shape) in [
            ("()", &[][..]),
            ("(5,)", &[5]),
            ("(2,3)", &[2, 3]),
            ("(2L, 3L)", &[2, 3]),
        ] {
            let text = format!("{{\"shape\": {text}, 'descr': '>c16', 'fortran_order': False}}");
            assert_eq!(parse(&text).unwrap().shape, shape);
        }
        for shape in [&[][..], &[5], &[2, 3, 4]] {
            let bytes = Header::write(shape);
            assert!(bytes.len().is_multiple_of(64));
            assert_eq!(Header::read(bytes.as_slice()).unwrap().shape, shape);
        }
    }

    /// Each gets one line. Wrong: objects read, shapes that wrap around.
    #[test]
    fn what_is_refused() {
        let with = |kind: &str, shape: &str| {
            let text = format!("{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}");
            parse(&text).and_then(|header| header.numbers())
        };
        for (kind, shape, part) in [
            ("'|O'", "(2,)", "Python objects"),
            ("'O'", "(2,)", "Python objects"),
            ("[('a', '<f4')]", "(2,)", "records"),
            ("'<U5'", "(2,)", "`<U5`"),
            ("'<f16'", "(2,)", "`<f16`"),
            ("'<M8[ns]'", "(2,)", "not read"),
            ("'|f4'", "(2,)", "`|f4`"),
            ("'<f4'", "(0, 3)", "holds no number"),
            ("'<f4'", "(-1, 3)", "not understood"),
            ("'<f4'", "(4294967296, 4294967296)", "2147483648 numbers"),
            ("'<f4'", "(99999999999999999999,)", "not understood"),
            ("'<f4'", "(2", "not understood"),
            ("'<f4'", "3", "not understood"),
        ] {
            let error = with(kind, shape).unwrap_err();
            assert!(error.contains(part), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
        assert!(parse("{'shape': (2,)}").unwrap_err().contains("lacks"));
        assert!(parse("{'\n\u{7}': 3}").unwrap_err().lines().count() == 1);
        assert!(Header::read(&b"\x93NUMPY\x01\x00\xff"[..]).is_err());
        assert!(
            Header::read(&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..])
                .unwrap_err()
                .contains("bytes")
        );
        assert!(
            Header::read(&b"GIF89a.."[..])
                .unwrap_err()
                .contains("not a NumPy")
        );
    }
}
