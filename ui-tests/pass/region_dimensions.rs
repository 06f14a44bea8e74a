//! Regions of zero, one and up to six dimensions, known at compile time or at run time.

use mpisync::ndarray::{Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn, s};
use mpisync::{Plain, Region};

/// A region of this shape, whose items are set to 0, 1, 2, …
fn counted<D: Dimension>(shape: D) -> Region<u64, D> {
    let mut region = Region::<u64, D>::local(shape.clone()).unwrap();
    assert_eq!((region.shape(), region.ndim()), (shape.slice(), shape.ndim()));
    assert_eq!(region.bytes_per_node(), 8 * region.len());
    for (item, number) in region.write().as_slice_mut().iter_mut().zip(0..) {
        *item = number;
    }
    region
}

fn sum<T: Plain + Into<u64>, D: Dimension>(region: &Region<T, D>) -> u64 {
    region.read().iter().map(|&item| item.into()).sum()
}

fn main() {
    let none = counted(Ix0());
    assert_eq!((none.len(), none.read()[()]), (1, 0));
    let one = counted(Ix1(5));
    assert_eq!((one.read()[4], one.read()[[4]], sum(&one)), (4, 4, 10));
    let two = counted(Ix2(2, 3));
    assert_eq!((two.read()[(1, 0)], two.read().row(1).sum()), (3, 12));
    let three = counted(Ix3(2, 3, 4));
    assert_eq!(three.read().slice(s![1, .., 0]).to_vec(), [12, 16, 20]);
    let four = counted(Ix4(2, 1, 2, 2));
    assert_eq!(four.read()[[1, 0, 0, 1]], 5);
    let five = counted(Ix5(1, 2, 1, 2, 2));
    assert_eq!(five.read()[[0, 1, 0, 1, 1]], 7);
    let six = counted(Ix6(1, 2, 1, 2, 1, 3));
    assert_eq!(six.read()[[0, 1, 0, 1, 0, 2]], 11);

    for shape in [&[][..], &[5], &[2, 3], &[1, 2, 1, 2, 2], &[2; 7]] {
        let region = counted(IxDyn(shape));
        let last = region.len() as u64 - 1;
        let index: Vec<_> = shape.iter().map(|length| length - 1).collect();
        assert_eq!(region.read()[&index[..]], last);
        assert_eq!(sum(&region), last * (last + 1) / 2);
    }
    let empty = counted(IxDyn(&[3, 0, 2]));
    assert!(empty.is_empty() && sum(&empty) == 0);

    // A type without a number of dimensions accepts all.
    let mut any = Region::<u64>::local([2, 3]).unwrap();
    any.write().assign(&two.read().view(), [0, 0]).unwrap();
    let row = two.read().slice(s![..1, ..]).to_owned();
    any.set(0, Some(&row), (1, 0)).unwrap();
    any.set(0, Some(&row.into_dyn()), &[1, 0][..]).unwrap();
    assert_eq!(sum(&any), 6);
}
