//! Plain types of the standard library and of other crates: in a region, a channel and a mutex.

use bytemuck::TransparentWrapper;
use half::{bf16, f16};
use mpisync::{Mutex, Plain, Pod, Region, RemoteChannel};
use num_complex::Complex;
use std::fmt::Debug;
use std::num::{NonZeroU16, Saturating, Wrapping};

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Colour {
    channels: [u8; 3],
    flags: u8,
    depth: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, mpisync::Equivalence)]
#[repr(C)]
struct Wave {
    id: u128,
    amplitude: Complex<f64>,
    colour: Pod<Colour>,
    steps: Wrapping<u32>,
    coarse: [f16; 2],
}

/// Each object returns the value that it was given.
#[track_caller]
fn goes_through_all<T: Plain + PartialEq + Debug>(items: [T; 2]) {
    let [first, second] = items;

    let mut mutex = Mutex::local_with(first);
    *mutex.lock() = second;
    assert_eq!(*mutex.lock(), second);

    let channel = RemoteChannel::<T>::local(2).unwrap();
    channel.put(first).unwrap();
    channel.put(second).unwrap();
    assert_eq!(
        [channel.take(), channel.take()],
        [Some(first), Some(second)]
    );

    let mut region = Region::<T>::local([2]).unwrap();
    region.write().as_slice_mut().copy_from_slice(&items);
    assert_eq!(region.read().as_slice(), Some(&items[..]));
}

#[test]
fn long_integers_and_wrappers() {
    goes_through_all([u128::MAX, 1 << 100]);
    goes_through_all([i128::MIN, -1]);
    goes_through_all([Wrapping(u8::MAX), Wrapping(1)]);
    goes_through_all([Saturating(-7_i64), Saturating(i64::MAX)]);
    goes_through_all([[Wrapping(1_u16); 3]; 2]);
}

#[test]
fn complex_numbers() {
    goes_through_all([
        Complex::new(0.5_f64, -0.25),
        Complex::new(f64::INFINITY, 0.0),
    ]);
    goes_through_all([Complex::new(0.5_f32, 2.0), Complex::i()]);
    goes_through_all([Complex::new(i16::MIN, 3), Complex::new(0, -1)]);
}

#[test]
fn half_precision() {
    goes_through_all([f16::PI, f16::NEG_INFINITY]);
    goes_through_all([bf16::MAX, bf16::MIN_POSITIVE]);
}

#[test]
fn pod_types() {
    let colour = |flags| Colour {
        channels: [1, 2, 3],
        flags,
        depth: 0.5,
    };
    goes_through_all([Pod(colour(4)), Pod(colour(5))]);
    goes_through_all([Pod(NonZeroU16::new(3)), Pod(None)]);

    let mut region = Region::<Pod<Colour>>::local([3]).unwrap();
    region.write().fill(Pod(colour(7)));
    let reading = region.read();
    assert_eq!(Pod::peel_slice(reading.as_slice().unwrap()), [colour(7); 3]);
}

#[test]
fn structs_of_them() {
    let wave = |id| Wave {
        id,
        amplitude: Complex::new(1.0, -1.0),
        colour: Pod(Colour {
            channels: [9; 3],
            flags: 0,
            depth: 1.5,
        }),
        steps: Wrapping(u32::MAX),
        coarse: [f16::ONE; 2],
    };
    goes_through_all([wave(3), wave(u128::MAX)]);
}
