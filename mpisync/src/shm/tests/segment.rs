use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::mapping::Mapping;
use crate::shm::segment::{Extent, Segment, Shape};

fn segment() -> Segment {
    let shape = Shape {
        members: 1,
        remote: 0,
    };
    Segment::new(
        Mapping::private(Segment::first_length(shape)).into(),
        0,
        shape,
    )
}

#[test]
fn blocks_do_not_overlap_and_grow_into_new_chunks() {
    let segment = segment();
    let mut last = None;
    let mut chunks = 0;
    for _ in 0..5000 {
        let extent = segment.allocate(1024).unwrap_or_else(|length| {
            chunks += 1;
            segment.add_chunk(Mapping::private(length));
            segment.begin_chunk(1024)
        });
        if let Some(Extent { chunk, offset, .. }) = last {
            assert!((extent.chunk, extent.offset) >= (chunk, offset + 1024));
        }
        last = Some(extent);
    }
    assert!((2..20).contains(&chunks), "{chunks} chunks");
}

#[test]
fn a_block_that_was_given_back_is_used_again_and_clear() {
    let segment = segment();
    let extent = segment.allocate(1024).expect("room");
    let chunk = segment.chunk(extent.chunk);
    let word = &chunk.slice::<AtomicU64>(extent.offset as usize, 128)[127];
    word.store(5, Ordering::Relaxed);
    segment.give_back(extent, chunk.get(extent.offset as usize));
    assert_eq!(segment.allocate(1024), Ok(extent));
    assert_eq!(word.load(Ordering::Relaxed), 0);
    assert_ne!(segment.allocate(1024), Ok(extent));
}

#[test]
fn blocks_end_before_the_staging_buffers() {
    let shape = Shape {
        members: 3,
        remote: 2,
    };
    let first = Mapping::private(Segment::first_length(shape));
    let segment = Segment::new(first.into(), 1, shape);
    segment.allocate_stage().expect("private memory");
    let [one, two] = [0, 2].map(|rank| segment.stage(rank).as_ptr() as usize);
    let mut end = 0;
    while let Ok(extent) = segment.allocate(1024) {
        end = extent.offset as usize + 1024;
    }
    assert!(end > 0 && end <= Segment::first_reserved(shape));
    let start = segment.chunk(0).start().as_ptr() as usize;
    assert_eq!(one, start + Segment::first_reserved(shape));
    let stage = size_of_val(segment.stage(2));
    assert_eq!(two + stage, start + Segment::first_length(shape));
}
