//! Archives: runs and all that they stand on in one file, which is a page to read, a ZIP to unpack, and a certificate to hold
//! both against.
//!
//! The file begins as HTML whose last element takes whatever follows as hidden text, so no byte behind it can end it; there the
//! ZIP begins, whose offsets count from the start of the file. The certificate is its first entry: it says what every byte of
//! the file has to be. `docs/archive.md` has the layout and the hash tree in words.

mod certificate;
mod error;
mod import;
pub(super) mod names;
mod read;
#[cfg(test)]
mod tests;
mod verify;
mod write;
mod zip;

pub use certificate::{Certificate, Corpus, Entry, Part, RunSeal, Why};
pub use error::{ArchiveError, Fault, FaultKind};
pub use import::{ExperimentTaken, Imported, TakenReport, TakenRun, import};
pub use read::Archive;
pub use verify::{Verified, verify};
pub use write::{Packed, Report, Wanted, Written};

/// Where the page of an archive has the root hash: a placeholder that is replaced when the root is known.
pub const ROOT_PLACE: &str =
    "<code id=\"root\">0000000000000000000000000000000000000000000000000000000000000000</code>";

/// How an archive begins, up to its version.
const MARK: &str = "<!DOCTYPE html><!-- ablate-archive-";

/// The first line of an archive with a page of so many bytes; of the same length whatever their number.
fn page_start(bytes: u64) -> String {
    format!("{MARK}1: a page of {bytes:020} bytes, then a ZIP -->\n")
}

/// How a page ends. A browser takes everything behind `<plaintext>` for text, whatever it is: the element has no end tag. Where
/// scripts are allowed it stops there, and does not read on through the weights of models.
const PAGE_END: &str = "\n<script>stop()</script><plaintext hidden>\n";

/// Whether files of so many bytes are more than an archive of a size is believed to hold: a file that was made to fill disks.
fn is_bomb(unpacked: u64, archive: u64) -> bool {
    const ALWAYS_FINE: u64 = 1 << 30;
    const FACTOR: u64 = 100;

    unpacked > ALWAYS_FINE && unpacked / FACTOR > archive
}
