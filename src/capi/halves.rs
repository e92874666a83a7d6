//! Sends one request for many items. A request that fails is sent again for each half,
//! until only the faulty items fail.

use std::ops::Range;

use super::error::Error;

/// Sends one request for the items `0..count`. A part of several items whose
/// request fails with an error that `can_halve` is sent again in halves. Returns
/// the result of each part, in order.
pub(crate) async fn run<T, F>(
    count: usize,
    can_halve: fn(&Error) -> bool,
    send: impl Fn(Range<usize>) -> F,
) -> Vec<(Range<usize>, Result<T, Error>)>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut results = Vec::new();
    let whole = 0..count;
    let mut left = vec![whole];
    while let Some(part) = left.pop() {
        match send(part.clone()).await {
            Err(error) if part.len() > 1 && can_halve(&error) => {
                let middle = part.start + part.len() / 2;
                left.push(middle..part.end);
                left.push(part.start..middle);
            }
            result => results.push((part, result)),
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn gone() -> Error {
        Error::Gone {
            what: "it".to_owned(),
        }
    }

    #[tokio::test]
    async fn only_the_faulty_item_fails() {
        let sent = Mutex::new(Vec::new());
        let results = run(
            8,
            |_| true,
            |part| {
                sent.lock().unwrap().push(part.clone());
                async move {
                    if part.contains(&5) {
                        Err(gone())
                    } else {
                        Ok(())
                    }
                }
            },
        );
        let results = results.await;
        let parts: Vec<_> = results.iter().map(|(part, _)| part.clone()).collect();
        assert_eq!(parts, [0..4, 4..5, 5..6, 6..8]);
        let failed = results.iter().filter(|(_, result)| result.is_err());
        let to_blame = vec![parts[2].clone()];
        let failed: Vec<_> = failed.map(|(part, _)| part.clone()).collect();
        assert_eq!(failed, to_blame);
        assert_eq!(sent.lock().unwrap().len(), 7);
    }

    #[tokio::test]
    async fn other_errors_fail_all_items_without_retries() {
        let results = run(8, |_| false, |_| async { Err::<(), _>(gone()) }).await;
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].0, 0..8);
    }
}
