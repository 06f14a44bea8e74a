//! The number of occurrences of each word.

use std::{cmp::Reverse, collections::HashMap};

use crate::text::{Text, words};

/// The number of occurrences of each word.
#[derive(Default, PartialEq)]
pub struct Counts(HashMap<String, u64>);

/// The count of one word, as a message.
#[derive(Clone, Copy, mpisync::Equivalence)]
pub struct Entry {
    /// The number of its occurrences.
    pub count: u64,
    /// The word.
    pub word: Text,
}

impl Counts {
    /// Adds the words of a text.
    pub fn add_text(&mut self, text: &str) {
        for word in words(text) {
            self.add(word, 1);
        }
    }

    /// Adds one word that occurs `count` times.
    pub fn add(&mut self, word: &str, count: u64) {
        match self.0.get_mut(word) {
            Some(known) => *known += count,
            None => {
                self.0.insert(word.to_owned(), count);
            }
        }
    }

    /// The counts of words that arrived in messages, as messages.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().map(|(word, &count)| Entry {
            count,
            word: Text::of(word).expect("it came in a message"),
        })
    }

    /// The number of occurrences of this word.
    pub fn of(&self, word: &str) -> u64 {
        self.0.get(word).copied().unwrap_or_default()
    }

    /// The number of words.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The number of different words.
    pub fn distinct(&self) -> usize {
        self.0.len()
    }

    /// The most frequent words; words of the same count are in alphabetical order.
    pub fn most_frequent(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(word, &n)| (word.as_str(), n)).collect();
        all.sort_unstable_by_key(|&(word, count)| (Reverse(count), word));
        all.truncate(most);
        all
    }

    /// A word whose counts differ.
    pub fn difference<'a>(&'a self, other: &'a Counts) -> Option<&'a str> {
        let mut words = self.0.keys().chain(other.0.keys());
        words
            .find(|word| self.of(word) != other.of(word))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_and_ordered() {
        let mut counts = Counts::default();
        counts.add_text("the cat, the dog; a cat -- the end");
        assert_eq!((counts.total(), counts.distinct()), (8, 5));
        let expected = [("the", 3), ("cat", 2), ("a", 1)];
        assert_eq!(counts.most_frequent(3), expected);
    }

    #[test]
    fn entries_make_the_same_counts_again() {
        let (mut counts, mut again) = (Counts::default(), Counts::default());
        counts.add_text("one two two three three three");
        for entry in counts.entries() {
            assert!(again.difference(&counts).is_some());
            again.add(entry.word.as_str(), entry.count);
        }
        assert_eq!(again.difference(&counts), None);
    }
}
