//! How often something happens to an object, from two looks at it.

use mpisync::inspect::{Count, Document, Object};
use std::collections::HashMap;

/// An object: its host, the number of its communicator, and its place there.
type Key = (String, String, usize);

/// The counts at the last look, and the rates since the one before.
#[derive(Default)]
pub struct Rates {
    last: HashMap<Key, (Object, f64)>,
    rates: HashMap<Key, f64>,
}

impl Rates {
    /// Compares with the last look.
    pub fn update(&mut self, document: &Document) {
        let (mut last, mut rates) = (HashMap::new(), HashMap::new());
        for host in &document.hosts {
            for communicator in &host.communicators {
                for (index, object) in communicator.objects.iter().enumerate() {
                    let key = (host.host.clone(), communicator.id.clone(), index);
                    if let Some((before, time)) = self.last.get(&key)
                        && let Some(times) = times(before, object)
                        && host.time > *time
                    {
                        rates.insert(key.clone(), f64::from(times) / (host.time - time));
                    }
                    last.insert(key, (object.clone(), host.time));
                }
            }
        }
        (self.last, self.rates) = (last, rates);
    }

    /// Of an object of this communicator of this host, in times a second.
    pub fn get(&self, host: &str, communicator: &str, index: usize) -> Option<f64> {
        let key = (host.to_owned(), communicator.to_owned(), index);
        self.rates.get(&key).copied()
    }
}

/// How often it has happened since, if that is the same object. Counts have 32 bits at least.
fn times(before: &Object, now: &Object) -> Option<u32> {
    let is_same = (&before.kind, &before.name) == (&now.kind, &now.name);
    match (&before.count, &now.count) {
        (Some(Count { value: before, .. }), Some(Count { value: now, .. })) if is_same => {
            Some((*now as u32).wrapping_sub(*before as u32))
        }
        _ => None,
    }
}
