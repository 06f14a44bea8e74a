use crate::shm::atomic::AtomicU64;
use crate::shm::cells::{Text, copy_in, copy_out};

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
    text.set("sieben€");
    assert_eq!(text.get(), "sieben");
    text.set_tail("/a/€uro.rs");
    assert_eq!(text.get(), "uro.rs");
}
