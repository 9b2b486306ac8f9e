//! Bodies that are made a piece at a time, as fast as somebody takes them, on threads that may wait for the disk: none waits for who
//! does not take.

use std::io;
use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::mpsc;

/// The pieces that `next` makes, each with what the one after it is made from, until there is none.
pub fn pieces<S: Send + 'static>(
    start: S,
    next: impl Fn(S) -> io::Result<Option<(S, Bytes)>> + Send + Sync + 'static,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(2);
    let next = Arc::new(next);
    tokio::spawn(async move {
        let mut state = start;
        loop {
            let make = Arc::clone(&next);
            let made = tokio::task::spawn_blocking(move || make(state)).await;
            match made.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(None) => return,
                Ok(Some((after, piece))) => {
                    state = after;
                    if sender.send(Ok(piece)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await; // The connection ends with it.
                    return;
                }
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Down from a number, to nothing or to a fault.
    fn taken(from: u8, fault_at: Option<u8>, most: usize) -> Vec<Result<u8, String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let next = move |at: u8| match at {
                0 => Ok(None),
                at if Some(at) == fault_at => Err(io::Error::other("torn")),
                at => Ok(Some((at - 1, Bytes::from(vec![at])))),
            };
            let (mut receiver, mut taken) = (pieces(from, next), Vec::new());
            while let Some(piece) = receiver.recv().await {
                taken.push(piece.map(|bytes| bytes[0]).map_err(|error| error.to_string()));
                if taken.len() == most {
                    break;
                }
            }
            taken
        })
    }

    #[test]
    fn pieces_come_in_their_order_until_there_is_none_or_a_fault() {
        assert_eq!(taken(4, None, 9), [Ok(4), Ok(3), Ok(2), Ok(1)]);
        assert_eq!(taken(0, None, 9), []);
        assert_eq!(taken(4, Some(3), 9), [Ok(4), Err("torn".to_owned())]);
        // Who takes no more is waited for by nobody: this ends.
        assert_eq!(taken(200, None, 2), [Ok(200), Ok(199)]);
    }
}
