//! Types whose bytes have the same meaning in every process, as MPI datatypes.

use mpi::ffi;
use mpisync::Plain;
// With all traits of MPI, among them a derive of the same name.
use mpisync::prelude::*;
use mpisync_tests::job::Job;
use num_complex::Complex;
use std::num::Wrapping;

mpisync_tests::cases!(on [1, 2, 3, 4]:
    datatypes_have_all_bytes,
    messages_of_structs,
    structs_through_fences,
    complex_numbers,
);

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Particle {
    // The compiler may reorder these.
    charge: i16,
    id: u64,
    position: [f64; 3],
    history: [[f32; 2]; 3],
    spin: Spin,
    marks: [Spin; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, mpisync::Equivalence)]
struct Spin(i8, u8);

/// MPI may align each number to a multiple of its size, and would insert padding for that.
#[derive(Clone, Copy, Equivalence)]
#[repr(C, packed)]
struct Packed {
    kind: u8,
    time: f64,
}

/// One field of each kind, on which Rust and MPI must agree.
#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Numbers {
    u8: u8,
    i8: i8,
    u16: u16,
    i16: i16,
    u32: u32,
    i32: i32,
    u64: u64,
    i64: i64,
    usize: usize,
    isize: isize,
    f32: f32,
    f64: f64,
    u128: u128,
    i128: i128,
    wrapping: Wrapping<u64>,
    complex: Complex<f32>,
    _padding: [u8; 6],
}

fn particle(number: u16) -> Particle {
    let float = f32::from(number);
    Particle {
        charge: -(number as i16),
        id: u64::from(number) << 40,
        position: [f64::from(number) / 3.0, -1.0, 0.5],
        history: [[float, 1.0], [2.0, float], [-float, 3.0]],
        spin: Spin(-1, number as u8),
        marks: [Spin(1, 2), Spin(number as i8, 3)],
    }
}

fn datatypes_have_all_bytes(_: &Job) {
    has_all_bytes::<Spin>();
    has_all_bytes::<Packed>();
    has_all_bytes::<Particle>();
    has_all_bytes::<Numbers>();
}

/// The datatype has all bytes of the type, in arrays as in single values.
fn has_all_bytes<T: Plain + Equivalence>() {
    let datatype = T::equivalent_datatype();
    let (mut bytes, mut begin, mut extent) = (0, -1, 0);
    // SAFETY: a committed datatype, and live results.
    unsafe {
        ffi::MPI_Type_size(datatype.as_raw(), &mut bytes);
        ffi::MPI_Type_get_extent(datatype.as_raw(), &mut begin, &mut extent);
    }
    assert_eq!(bytes as usize, size_of::<T>());
    assert_eq!((begin, extent as usize), (0, size_of::<T>()));
}

/// Every rank sends to the next one: a value, a slice, and an unaligned value.
fn messages_of_structs(job: &Job) {
    let next = job.world.process_at_rank((job.rank + 1) % job.size);
    let last = job
        .world
        .process_at_rank((job.rank + job.size - 1) % job.size);
    let mine = job.rank as u16;
    let theirs = last.rank() as u16;

    let mut came = particle(999);
    mpi::request::scope(|scope| {
        let sent = particle(mine);
        let receive = last.immediate_receive_into(scope, &mut came);
        next.send(&sent);
        receive.wait();
    });
    assert_eq!(came, particle(theirs));

    let many = |first: u16| Vec::from_iter((0..1_000).map(|index| particle(first * 1_000 + index)));
    let mut came = vec![particle(0); 1_000];
    mpi::request::scope(|scope| {
        let receive = last.immediate_receive_into(scope, &mut came[..]);
        next.send(&many(mine)[..]);
        receive.wait();
    });
    assert!(came == many(theirs));

    let packed = |number: u16| {
        [0, 1, 2].map(|index| Packed {
            kind: index,
            time: f64::from(number),
        })
    };
    let mut came = packed(999);
    mpi::request::scope(|scope| {
        let receive = last.immediate_receive_into(scope, &mut came);
        next.send(&packed(mine));
        receive.wait();
    });
    for (index, came) in came.into_iter().enumerate() {
        let Packed { kind, time } = came;
        assert_eq!((kind as usize, time), (index, f64::from(theirs)));
    }
}

/// A slice of them is shared without serialization.
fn structs_through_fences(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        let items = Vec::from_iter((0..2_000).map(particle));
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => fence.share_slice(&items).unwrap(),
            Access::Excluded(fence) => {
                assert!(fence.collect_vec::<Particle>().unwrap() == items);
            }
        }
    }
}

/// In a region that each rank writes in turn, and in a channel into which all put.
fn complex_numbers(job: &Job) {
    let number = |rank: i32| Complex::new(f64::from(rank) + 0.5, -f64::from(rank));

    let mut region = Region::<Complex<f64>>::new(&job.world, [job.size as usize]).unwrap();
    for writer in 0..job.size {
        let written = region.update_on(writer, |items| {
            items.view_mut()[[writer as usize]] = number(writer);
            Ok::<_, CollectiveError>(())
        });
        written.unwrap();
    }
    let sum = (0..job.size).map(number).sum::<Complex<f64>>();
    assert_eq!(region.read().iter().sum::<Complex<f64>>(), sum);
    assert_eq!(region.read()[[job.rank as usize]], number(job.rank));

    let channel = RemoteChannel::<Complex<f64>>::new(&job.world, 4).unwrap();
    channel.put(number(job.rank)).unwrap();
    if job.rank == 0 {
        let came = (0..job.size).filter_map(|_| channel.take());
        assert_eq!(came.sum::<Complex<f64>>(), sum);
    }
}
