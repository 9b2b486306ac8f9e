//! Fuzzing of what reads bytes of others: sound inputs, spoilt by a dictionary and by chance, for ten minutes a reader.
//!
//! `cargo test --release --lib -- --ignored fuzz --nocapture`; FUZZ_SECONDS says for how long each, FUZZ_SEED with which luck. A
//! case is a pure function of the seed and its number, so what is found is found again with FUZZ_CASE. What a reader makes of a
//! case is for its test to judge; here it is held to 5 seconds of computing for each, and to 500 MiB for all.

#![allow(clippy::print_stdout, reason = "it is run for what it says")]

use std::collections::BTreeMap;

use crate::clock::Stopwatch;

/// Seconds of computing that a case may take: two thousand times what most do, and less than a person would wait.
const SLOWEST_SECS: f64 = 5.0;
/// Bytes of memory that all cases together may have at their worst moment.
const MOST_MEMORY: u64 = 500 << 20;
/// Bytes of a spoilt input, where it was shorter.
const LONGEST: usize = 1 << 18;

/// What stands in files of any kind and has brought readers down: numbers at the edges of their types, brackets, texts that end
/// texts, and paths that lead out.
const WORDS: [&str; 37] = [
    "0",
    "-0",
    "-1",
    "1e999",
    "-1e-999",
    "nan",
    "inf",
    "-inf",
    "null",
    "true",
    "0x7fffffff",
    "255",
    "65536",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775809",
    "18446744073709551616",
    "0.30000000000000004",
    "99999999999999999999999999999999999999999999",
    "\n",
    "\r\n",
    "\0",
    "\u{202e}",
    "\u{1b}[31m",
    "한국어",
    "\"",
    "'",
    "\\",
    "`",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "../",
    "=",
];

/// Reads spoilt inputs until the time is over, and prints what came of them by the word that `check` has for it.
///
/// # Panics
/// When a case takes too long, or all of them too much memory; `check` panics when what was read is wrong.
pub fn fuzz(what: &str, mut check: impl FnMut(&mut Luck) -> &'static str) {
    let asked = |name| setting(name).map(|text| text.parse::<u64>().expect("a whole number"));
    let (seconds, seed) = (asked("FUZZ_SECONDS").unwrap_or(600), asked("FUZZ_SEED").unwrap_or(1));
    let (first, only) = (asked("FUZZ_CASE").unwrap_or(0), asked("FUZZ_CASE").is_some());
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut cases, mut slowest) = (0, (0.0, first));
    let watch = Stopwatch::start();
    while watch.elapsed_secs() < seconds as f64 && !(only && cases > 0) {
        let number = first + cases;
        let mut luck = Luck::new(seed, number);
        let before = computing_secs();
        let _again = Again { what, seed, number };
        *outcomes.entry(check(&mut luck)).or_default() += 1;
        let took = computing_secs() - before;
        assert!(took < SLOWEST_SECS, "{what}: case {number} of seed {seed} took {took:.1} s");
        if took > slowest.0 {
            slowest = (took, number);
        }
        cases += 1;
    }
    let memory = peak_memory();
    println!(
        "{what}: {cases} cases of seed {seed} in {:.0} s: {outcomes:?}; the slowest, {}, took {:.3} s; at most {} MiB of memory",
        watch.elapsed_secs(),
        slowest.1,
        slowest.0,
        memory >> 20
    );
    assert!(memory < MOST_MEMORY, "{what}: {} MiB of memory", memory >> 20);
}

/// Says, when a case panics, how it is had again.
struct Again<'w> {
    what: &'w str,
    seed: u64,
    number: u64,
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: FUZZ_SEED={} FUZZ_CASE={} is the case that failed", self.what, self.seed, self.number);
        }
    }
}

/// The draws of one case.
pub struct Luck(u64);

impl Luck {
    fn new(seed: u64, number: u64) -> Self {
        let mut luck = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number);
        luck.0 = luck.next();
        luck
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of these.
    pub fn one<'t, T: ?Sized>(&mut self, of: &'t [&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    /// One of the sound inputs, spoilt in up to eight places; `words` are those of its language.
    pub fn spoilt(&mut self, sound: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut bytes = sound[self.below(sound.len())].clone();
        let longest = bytes.len().max(LONGEST);
        let times = if self.below(2) == 0 { 1 } else { 1 + self.below(8) };
        for _ in 0..times {
            self.spoil(&mut bytes, sound, words);
        }
        bytes.truncate(longest);
        bytes
    }

    /// [`spoilt`](Self::spoilt), as text.
    pub fn spoilt_text(&mut self, sound: &[Vec<u8>], words: &[&str]) -> String {
        String::from_utf8_lossy(&self.spoilt(sound, words)).into_owned()
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>, sound: &[Vec<u8>], words: &[&str]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(40)).min(bytes.len());
        let word =
            if self.below(2) == 0 { self.one(&WORDS) } else { self.one(if words.is_empty() { &WORDS } else { words }) };
        match self.below(14) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 if at < bytes.len() => bytes[at] = self.next() as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 | 6 => drop(bytes.splice(at..at, word.bytes())),
            7 => drop(bytes.splice(at..(at + word.len()).min(bytes.len()), word.bytes())),
            8 => self.replace_number(bytes, word),
            9 => {
                // A line, once more or in another's place.
                let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                let (from, to) = (self.below(lines.len()), self.below(lines.len() + 1));
                let mut moved = lines.clone();
                moved.splice(to..(to + self.below(2)).min(lines.len()), lines.get(from).copied());
                *bytes = moved.concat();
            }
            10 => {
                // The rest of another.
                let other = &sound[self.below(sound.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            11 => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                drop(bytes.splice(to..to, part));
            }
            12 => {
                // Far too much of something, as deep nesting or a long number.
                let times = 1 << self.below(12);
                let part = if self.below(2) == 0 { bytes[at..end].to_vec() } else { word.as_bytes().to_vec() };
                drop(bytes.splice(at..at, part.repeat(times.min(LONGEST / part.len().max(1)))));
            }
            _ => {
                // Its first number grown.
                let digits = "9".repeat(1 + self.below(400));
                self.replace_number(bytes, &digits);
            }
        }
    }

    /// Puts a word in the place of a number.
    fn replace_number(&mut self, bytes: &mut Vec<u8>, word: &str) {
        let from = self.below(bytes.len() + 1);
        let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let end = bytes[start..].iter().position(|byte| !is_part(byte)).map_or(bytes.len(), |length| start + length);
        drop(bytes.splice(start..end, word.bytes()));
    }
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is for whoever starts it to say")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Seconds that this thread has computed, where the system tells; else those that have passed.
fn computing_secs() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    nanoseconds.map_or_else(crate::clock::monotonic_secs, |nanoseconds| nanoseconds as f64 * 1e-9)
}

/// Bytes of memory that this process had at its worst moment; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}
