use crate::shm::atomic::AtomicU64;
use crate::shm::cells::{CUT, Text, beginning, copy_in, copy_out, ending, shortened};
use proptest::prelude::*;

#[test]
fn bytes_of_every_length_come_back() {
    let cells: [AtomicU64; 4] = Default::default();
    for length in 0..=32 {
        let bytes: Vec<u8> = (1..=length).collect();
        copy_in(&cells, &bytes);
        let mut back = vec![0; bytes.len()];
        copy_out(&cells, &mut back);
        assert_eq!(back, bytes);
    }
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = Text::<1> {
        length: AtomicU64::new(0),
        cells: Default::default(),
    };
    text.set("sieben");
    assert_eq!(text.get(), "sieben");
    text.set("sieben€");
    assert_eq!(text.get(), "s … ");
    text.set("sieben#");
    assert_eq!(text.get(), "sieben#");
    text.set("siebenundacht");
    assert_eq!(text.get(), "s … ht");
    text.set_tail("/a/€uro.rs");
    assert_eq!(text.get(), "uro.rs");
}

#[test]
fn both_ends_of_a_long_text_are_kept() {
    let text = format!(
        "cannot read the table: {}: disk full",
        "at a place: ".repeat(100)
    );
    let short = shortened(&text, 100);
    assert!(short.starts_with("cannot read the table: "), "{short}");
    assert!(short.ends_with(": disk full"), "{short}");
    assert_eq!(short.len(), 100);
}

proptest! {
    #[test]
    fn a_shortened_text_has_both_ends(text in "[a-c€🦀é]{0,60}", most in 0..100_usize) {
        let short = shortened(&text, most);
        prop_assert!(short.len() <= most || short == text);
        if text.len() <= most {
            prop_assert_eq!(&*short, &*text);
        } else if most < CUT.len() {
            prop_assert!(text.starts_with(&*short));
        } else {
            let (start, end) = short.split_once(CUT).expect("it is cut");
            prop_assert!(text.starts_with(start) && text.ends_with(end));
            // No more is lost at a character of 4 bytes than has to be.
            prop_assert!(short.len() + 3 >= most, "{} of {most} bytes", short.len());
            prop_assert!(start.len().abs_diff(end.len()) <= 7);
        }
    }

    #[test]
    fn a_beginning_and_an_end_are_the_longest_that_fit(text in "[a-c€🦀é]{0,20}", most in 0..40_usize) {
        let fits = |end: &usize| *end <= most && text.is_char_boundary(*end);
        let end = (0..=text.len()).rev().find(fits).unwrap_or(0);
        prop_assert_eq!(beginning(&text, most), &text[..end]);
        let fits = |start: &usize| text.len() - start <= most && text.is_char_boundary(*start);
        let start = (0..=text.len()).find(fits).unwrap_or(0);
        prop_assert_eq!(ending(&text, most), &text[start..]);
    }
}
