//! Regions: their contents on every rank, on all kinds of communicators and in all shapes.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::ndarray::{Array, Array3, ArrayD, Ix0, Ix1, Ix2, Ix3, IxDyn, s};
use mpisync::{CollectiveError, CreateError, LockError, Plain, Region};
use mpisync_tests::job::Job;
use mpisync_tests::panics::{caught, quietly};
use mpisync_tests::rng::Rng;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    region_on_the_world,
    region_on_parts_of_the_world,
    region_on_nodes_and_across,
    region_shapes,
    region_views,
    region_from_root,
    region_guards,
    region_updates,
    region_changes_at_random,
    region_is_never_torn,
    region_parts_in_order,
    regions_at_once,
    many_regions,
    regions_come_and_go,
    region_display,
);

mpisync_tests::cases!(on [2, 4]:
    region_of_more_than_2_gib,
);

/// Every rank in turn writes its number to a whole region, slab by slab, by both ways of setting;
/// all see it.
fn set_and_read<T>(comm: &SimpleCommunicator, number: fn(i32) -> T)
where
    T: Plain + PartialEq + Display,
{
    const SHAPE: [usize; 3] = [2, 5, 10];
    let mut region = Region::<T, Ix3>::new(comm, SHAPE).unwrap();
    assert_eq!(region.shape(), SHAPE);
    assert_eq!(region.len(), 100);
    assert_eq!(region.bytes_per_node(), 100 * size_of::<T>());
    assert_eq!((region.rank(), region.size()), (comm.rank(), comm.size()));
    assert!(region.read().iter().all(|item| *item == number(0)));
    for writer in 0..comm.size() {
        let mine = (comm.rank() == writer).then(|| Array3::from_elem(SHAPE, number(writer + 1)));
        for (step, corner) in slabs(SHAPE).enumerate() {
            let [x, y, z] = corner;
            let slab = mine
                .as_ref()
                .map(|all| all.slice(s![x..x + 1, y..y + 1, z..z + 5]));
            if step % 2 == 0 {
                region.set(writer, slab, corner).unwrap();
            } else {
                region.set_from_any(slab, corner).unwrap();
            }
        }
        let items = region.read();
        assert!(
            items.iter().all(|item| *item == number(writer + 1)),
            "what rank {writer} set"
        );
    }
    region.close().unwrap();
}

/// The corners of the slabs of 1 x 1 x 5 items.
fn slabs(shape: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [xs, ys, zs] = shape;
    (0..xs).flat_map(move |x| (0..ys).flat_map(move |y| (0..zs).step_by(5).map(move |z| [x, y, z])))
}

fn region_on_the_world(job: &Job) {
    set_and_read::<i32>(&job.world, |rank| rank);
    set_and_read::<i64>(&job.world, i64::from);
    set_and_read::<f32>(&job.world, |rank| rank as f32);
    set_and_read::<f64>(&job.world, f64::from);
    set_and_read::<u8>(&job.world, |rank| rank as u8);
}

/// Halves, rows and columns of a grid, single ranks, and ranks in the reverse order.
fn region_on_parts_of_the_world(job: &Job) {
    let columns = (f64::from(job.size)).sqrt() as i32;
    let colors = [
        job.rank % 2,
        i32::from(2 * job.rank >= job.size),
        job.rank / columns,
        job.rank % columns,
        job.rank,
    ];
    for color in colors {
        let part = job.world.split_by_color(Color::with_value(color)).unwrap();
        set_and_read::<f64>(&part, f64::from);
    }
    let key = job.size - job.rank;
    let reversed = job.world.split_by_color_with_key(Color::with_value(0), key);
    set_and_read::<i64>(&reversed.unwrap(), i64::from);
    // All but one rank, so that nodes have different numbers of them.
    let here = job.rank > 0 || job.size == 1;
    let color = if here {
        Color::with_value(1)
    } else {
        Color::undefined()
    };
    if let Some(rest) = job.world.split_by_color(color) {
        set_and_read::<f32>(&rest, |rank| rank as f32);
    }
}

/// The ranks of each node, and those with the same number on all nodes, twice on the same
/// communicators.
fn region_on_nodes_and_across(job: &Job) {
    let node = job.world.split_shared(job.rank);
    let across = job
        .world
        .split_by_color(Color::with_value(node.rank()))
        .unwrap();
    for _ in 0..2 {
        set_and_read::<f64>(&node, f64::from);
        set_and_read::<f64>(&across, f64::from);
        set_and_read::<f64>(&job.world, f64::from);
    }
}

fn region_shapes(job: &Job) {
    let shapes: [&[usize]; 13] = [
        &[],
        &[1],
        &[7],
        &[0],
        &[3, 4],
        &[1, 1],
        &[0, 4],
        &[4, 0],
        &[2, 3, 4],
        &[2, 0, 4],
        &[2, 3, 1, 2],
        &[1, 2, 3, 2, 1],
        &[2, 1, 2, 1, 2, 3],
    ];
    for (turn, shape) in shapes.into_iter().enumerate() {
        let mut region = Region::<u32>::new(&job.world, shape).unwrap();
        let items: usize = shape.iter().product();
        assert_eq!((region.shape(), region.len()), (shape, items));
        assert_eq!(region.ndim(), shape.len());
        assert_eq!(region.is_empty(), items == 0);
        assert_eq!(region.bytes_per_node(), 4 * items);
        let root = turn as i32 % job.size;
        let all = ArrayD::from_shape_vec(IxDyn(shape), (1..=items as u32).collect()).unwrap();
        let mine = (job.rank == root).then_some(&all);
        let origin = vec![0; shape.len()];
        region.set(root, mine, origin.as_slice()).unwrap();
        assert_eq!(region.read().view(), all);
        job.world.barrier();
        region.update(|items| items.fill(9)).unwrap();
        assert_eq!(
            region.read().iter().filter(|&&item| item == 9).count(),
            items
        );
        job.world.barrier();
        // By a guard, one rank after the other.
        for writer in 0..job.size {
            if job.rank == writer {
                let mut guard = region.write();
                guard.as_slice_mut().iter_mut().for_each(|item| *item += 1);
            }
            job.world.barrier();
        }
        let expected = 9 + job.size as u32;
        assert!(region.read().iter().all(|item| *item == expected));
    }
    // The number of dimensions is in the type.
    let mut one = Region::<f64, Ix0>::new(&job.world, ()).unwrap();
    one.update(|item| item[()] = 1.5).unwrap();
    assert_eq!(one.read()[()], 1.5);
    let mut line = Region::<[u8; 3], Ix1>::new(&job.world, 5).unwrap();
    line.update(|items| items[4] = [1, 2, 3]).unwrap();
    assert_eq!(line.read()[4], [1, 2, 3]);
}

/// Parts of a region are read in place.
fn region_views(job: &Job) {
    let numbers = Array::from_iter(0..60)
        .into_shape_with_order((3, 4, 5))
        .unwrap();
    let mine = (job.rank == job.size - 1).then_some(&numbers);
    let mut region = Region::<i32, Ix3>::new(&job.world, [3, 4, 5]).unwrap();
    region.set(job.size - 1, mine, [0, 0, 0]).unwrap();
    let items = region.read();
    let flat = items.as_slice().unwrap();
    assert!(flat.iter().copied().eq(0..60));
    let row = items.slice(s![1, 2, ..]);
    assert_eq!(row.as_slice().unwrap(), &flat[30..35]);
    assert_eq!(row.as_ptr(), &raw const flat[30]);
    assert_eq!(items.slice(s![.., .., 1]), numbers.slice(s![.., .., 1]));
    assert_eq!(
        items.slice(s![..;-1, 1..3, ..;2]),
        numbers.slice(s![..;-1, 1..3, ..;2])
    );
    assert_eq!(items.windows([2, 2, 2]).into_iter().count(), 2 * 3 * 4);
    assert_eq!(items.sum(), (0..60).sum::<i32>());
    drop(items);
    // No rank may be reading when the next part is set.
    let window = Array3::from_elem((2, 2, 2), -1);
    region
        .set(0, (job.rank == 0).then_some(&window), [1, 2, 3])
        .unwrap();
    let mut expected = numbers;
    expected.slice_mut(s![1.., 2.., 3..]).fill(-1);
    assert_eq!(region.read().view(), expected);
}

fn region_from_root(job: &Job) {
    for root in 0..job.size {
        let table = (job.rank == root)
            .then(|| Array::from_shape_fn((3, root as usize + 1), |(i, j)| (100 * i + j) as f64));
        let region = Region::<f64, Ix2>::from_root(&job.world, root, table.as_ref()).unwrap();
        assert_eq!(region.shape(), [3, root as usize + 1]);
        let right = |((i, j), &item): ((usize, usize), &f64)| item == (100 * i + j) as f64;
        assert!(region.read().indexed_iter().all(right));
    }
    let words = (job.rank == 0).then(|| vec![5_u16; 40_000]);
    let region = Region::<u16, Ix1>::from_root(&job.world, 0, words.as_ref()).unwrap();
    assert_eq!(
        region.read().iter().filter(|&&word| word == 5).count(),
        40_000
    );
}

/// Guards of a region are guards of its lock.
fn region_guards(job: &Job) {
    let mut region = Region::<u64, Ix1>::new(&job.world, [1]).unwrap();
    for _ in 0..500 {
        let mut items = region.write();
        items[0] += 1;
    }
    job.scratch.meet(0, job.size);
    assert_eq!(region.read()[0], 500 * job.size as u64);
    {
        let first = region.read();
        let second = region.try_read().expect("this rank reads already");
        let third = region.read_timeout(Duration::ZERO).unwrap();
        assert_eq!((first[0], second[0]), (third[0], third[0]));
    }
    job.scratch.meet(1, job.size);
    if job.rank == 0 {
        let mut items = region.write();
        items[0] = 7;
        job.scratch.meet(2, job.size);
        job.scratch.meet(3, job.size);
        drop(items);
    } else {
        job.scratch.meet(2, job.size);
        assert!(region.try_read().is_none());
        assert!(region.try_write().is_none());
        let brief = Duration::from_millis(5);
        assert!(
            matches!(region.read_timeout(brief), Err(LockError::Timeout { waited, .. }) if waited == brief)
        );
        assert!(matches!(
            region.write_timeout(brief),
            Err(LockError::Timeout { .. })
        ));
        job.scratch.meet(3, job.size);
    }
    assert_eq!(region.read()[0], 7);
    job.scratch.meet(4, job.size);
    // The changes of a writer that continues as a reader are visible to other readers.
    for round in 0..50 {
        let mut items = region.write();
        let count = items[0] + 1;
        items[0] = count;
        let items = items.downgrade().unwrap();
        assert_eq!(items[0], count, "round {round}");
        drop(items);
    }
    job.scratch.meet(5, job.size);
    assert_eq!(region.read()[0], 7 + 50 * job.size as u64);
    job.scratch.meet(7, job.size);
    let mut items = region.write_timeout(Duration::MAX).unwrap();
    items[0] = 1;
    items.publish().unwrap();
    items[0] = 2;
    drop(items);
    job.scratch.meet(6, job.size);
    assert_eq!(region.read()[0], 2);
}

/// One rank runs a closure, and its result or error reaches all.
fn region_updates(job: &Job) {
    let mut region = Region::<f64, Ix2>::builder(&job.world, [4, 3])
        .master(job.size - 1)
        .name("field")
        .build()
        .unwrap();
    assert_eq!((region.master(), region.name()), (job.size - 1, "field"));
    let rank = job.rank;
    let who = region
        .update(|items| {
            items.row_mut(2).fill(4.0);
            (rank, items.sum())
        })
        .unwrap();
    assert_eq!(who, (job.size - 1, 12.0));
    for writer in 0..job.size {
        let sum: Result<f64, CollectiveError> = region.update_on(writer, |items| {
            assert_eq!(rank, writer);
            items[[0, 0]] += 1.0;
            Ok(items.sum())
        });
        assert_eq!(sum.unwrap(), 13.0 + f64::from(writer));
    }
    let failed: anyhow::Result<()> = region.try_update(|items| {
        items[[1, 1]] = 5.0;
        anyhow::bail!("no such file")
    });
    let text = failed.unwrap_err().to_string();
    assert!(text.contains("no such file"), "{text}");
    assert_eq!(region.read()[[1, 1]], 5.0);
    let panicked = quietly(|| {
        caught(AssertUnwindSafe(|| {
            region.update::<()>(|_| panic!("out of luck"))
        }))
    });
    if rank == job.size - 1 {
        assert!(panicked.unwrap_err().contains("out of luck"));
    } else {
        let error = panicked.unwrap().unwrap_err();
        assert!(
            matches!(error, CollectiveError::WriterPanicked { .. }),
            "{error}"
        );
    }
    let nobody = region.update_on(job.size, |_| Ok::<(), CollectiveError>(()));
    assert!(matches!(nobody, Err(CollectiveError::NoSuchRank { .. })));
    assert_eq!(region.read().sum(), 12.0 + f64::from(job.size) + 5.0);
    job.world.barrier();
    region.update(|items| items.fill(0.0)).unwrap();
    assert_eq!(region.read().sum(), 0.0);
}

/// Ranks change parts of all forms in turn; every copy equals the result of the same changes in a
/// single process.
fn region_changes_at_random(job: &Job) {
    const SHAPE: [usize; 3] = [6, 40, 250];
    const CHANGES: u64 = 300;
    let mut region = Region::<u64, Ix3>::new(&job.world, SHAPE).unwrap();
    let mut alone = Region::<u64, Ix3>::local(SHAPE).unwrap();
    let mut rng = Rng::new(11);
    for number in 1..=CHANGES {
        let writer = rng.below(job.size as u64) as i32;
        let change = |items: &mut mpisync::RegionWriteGuard<'_, u64, Ix3>, rng: &mut Rng| {
            let mut below = |end: usize| rng.below(end as u64) as usize;
            let corner = SHAPE.map(&mut below);
            let [x, y, z] = corner;
            match below(9) {
                0 => items.fill(number),
                1 => items.view_mut().map_inplace(|item| *item += number),
                2 => items.slice_mut(s![x, .., ..]).fill(number),
                3 => items.slice_mut(s![.., y, ..;3]).fill(number),
                4 => items.slice_mut(s![.., .., z]).fill(number),
                5 => items.slice_mut(s![x.., ..y;-1, z..]).fill(number),
                6 => items[corner] = number,
                7 => {
                    let data = Array3::from_elem((6 - x, 1, 250 - z), number);
                    items.assign(&data, [x, y, z]).unwrap();
                }
                _ => {
                    for _ in 0..200 {
                        let at = SHAPE.map(&mut below);
                        items[at] = items[at].wrapping_mul(3) + number;
                    }
                }
            }
        };
        if job.rank == writer {
            change(&mut region.write(), &mut rng.clone());
        }
        change(&mut alone.write(), &mut rng);
        if number % 10 == 0 {
            job.world.barrier();
            assert_eq!(region.read().view(), alone.read().view(), "after {number}");
        }
        job.world.barrier();
    }
}

/// Writers stamp all items, and readers never see two stamps.
fn region_is_never_torn(job: &Job) {
    const ROUNDS: u64 = 40;
    for items in [3, 1_000, 400_000] {
        let mut region = Region::<u64, Ix1>::new(&job.world, [items]).unwrap();
        let mut rng = Rng::new(job.rank as u64);
        let mut last = 0;
        for _ in 0..ROUNDS {
            if rng.below(3) == 0 {
                let mut guard = region.write();
                let stamp = guard[0] + 1;
                guard.fill(stamp);
                last = stamp;
            } else {
                let guard = region.read();
                let stamp = guard[0];
                assert!(guard.iter().all(|item| *item == stamp), "a torn region");
                assert!(stamp >= last, "time does not go back");
                last = stamp;
            }
        }
        job.scratch.word(9).fetch_max(last, SeqCst);
        job.world.barrier();
        assert_eq!(region.read()[0], job.scratch.word(9).load(SeqCst));
        job.world.barrier();
        job.scratch.word(9).store(0, SeqCst);
        job.world.barrier();
    }
}

/// Sizes of which a part is sent in pieces and the rest in a message, from every rank, repeatedly.
fn region_parts_in_order(job: &Job) {
    for items in [(1 << 20) + 8, (3 << 20) + 30_000, 70_000, 33_000] {
        let mut region = Region::<u8, Ix1>::new(&job.world, [items]).unwrap();
        for round in 0..2 {
            for writer in 0..job.size {
                let stamp = (10 * round + writer + 1) as u8;
                if job.rank == writer {
                    region.write().fill(stamp);
                }
                job.world.barrier();
                assert!(
                    region.read().iter().all(|item| *item == stamp),
                    "{items} items"
                );
                job.world.barrier();
            }
        }
    }
}

/// Regions of all sizes on several communicators, which all ranks write at any time: the data of
/// one never gets into another.
fn regions_at_once(job: &Job) {
    const OPERATIONS: u64 = 150;
    let twin = job.world.duplicate();
    let half = job
        .world
        .split_by_color(Color::with_value(job.rank % 2))
        .unwrap();
    let sizes = [1, 5_000, 40_000, 300_000];
    let mut regions: Vec<(u64, Region<u64, Ix1>)> = Vec::new();
    for (kind, comm) in [&job.world, &twin, &half].into_iter().enumerate() {
        for (number, items) in sizes.into_iter().enumerate() {
            // The written value names its region.
            let color = if kind == 2 { job.rank as u64 % 2 } else { 0 };
            let place = 100 * kind as u64 + 10 * number as u64 + color;
            regions.push((place, Region::new(comm, [items]).unwrap()));
        }
    }
    let mut rng = Rng::new(job.rank as u64);
    for _ in 0..OPERATIONS {
        let index = rng.below(regions.len() as u64) as usize;
        let (place, region) = &mut regions[index];
        if rng.below(3) == 0 {
            let mut items = region.write();
            let stamp = items[0] + 1_000;
            items.fill(stamp / 1_000 * 1_000 + *place);
        } else {
            let items = region.read();
            let stamp = items[0];
            assert!(stamp == 0 || stamp % 1_000 == *place, "{stamp} in {place}");
            assert!(items.iter().all(|item| *item == stamp), "a torn region");
        }
    }
    job.world.barrier();
    for (place, region) in &regions {
        let items = region.read();
        let stamp = items[0];
        assert!(stamp == 0 || stamp % 1_000 == *place, "{stamp} in {place}");
        assert!(items.iter().all(|item| *item == stamp), "a torn region");
    }
}

/// A thousand at once, each with its own items.
fn many_regions(job: &Job) {
    let region = |number: usize| Region::<u32, Ix1>::new(&job.world, [number % 50]).unwrap();
    // Making them takes network round trips over several nodes.
    let count = if region(0).nodes() == 1 { 1_000 } else { 100 };
    let mut regions: Vec<_> = (0..count).map(region).collect();
    for (number, region) in regions.iter_mut().enumerate() {
        if number % job.size as usize == job.rank as usize {
            region.write().fill(number as u32);
        }
    }
    job.world.barrier();
    for (number, region) in regions.iter().enumerate() {
        assert!(region.read().iter().all(|item| *item == number as u32));
    }
}

/// Memory is freed for every way and order in which the ranks drop theirs.
fn regions_come_and_go(job: &Job) {
    let room = || {
        let stat = std::process::Command::new("df")
            .args(["--output=avail", "/dev/shm"])
            .output()
            .unwrap();
        let text = String::from_utf8(stat.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse::<i64>().unwrap()
    };
    let nodes = Region::<u8>::new(&job.world, [1]).unwrap().nodes();
    job.world.barrier();
    let before = room();
    for round in 0..if nodes == 1 { 200 } else { 40 } {
        let mut first = Region::<u8>::new(&job.world, [1 << 20]).unwrap();
        let second = Region::<u8>::new(&job.world, [300]).unwrap();
        if round % 2 == job.rank % 2 {
            drop(second);
            first.write().fill(1);
        } else {
            drop(first.read());
        }
        if round % 5 == 0 {
            first.close().unwrap();
        }
    }
    job.world.barrier();
    // On several hosts each of them checks its own memory; the last ones may not know yet that all
    // ranks have dropped theirs.
    mpisync_tests::scratch::until("memory to come back", || before - room() < 20 << 10);
    job.world.barrier();
}

/// More than 2^31 items, of which only some are accessed.
fn region_of_more_than_2_gib(job: &Job) {
    const ITEMS: usize = (1 << 31) + 10;
    let mut region = match Region::<u8, Ix1>::new(&job.world, [ITEMS]) {
        Ok(region) => region,
        Err(error @ (CreateError::NoRoom { .. } | CreateError::OtherRank { .. })) => {
            eprintln!("left out: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(region.len(), ITEMS);
    let last = job.size - 1;
    let data = (job.rank == last).then(|| vec![3_u8; 100_000]);
    for offset in [0, 1 << 30, ITEMS - 100_000] {
        region.set(last, data.as_ref(), [offset]).unwrap();
        let items = region.read();
        assert!(
            items
                .slice(s![offset..offset + 100_000])
                .iter()
                .all(|item| *item == 3)
        );
    }
    job.world.barrier();
    if job.rank == 0 {
        let mut items = region.write();
        items[ITEMS - 1] = 5;
    }
    job.world.barrier();
    let items = region.read();
    assert_eq!(
        (items[ITEMS - 2], items[ITEMS - 1], items[1 << 29]),
        (3, 5, 0)
    );
}

fn region_display(job: &Job) {
    let mut region = Region::<f64, Ix2>::new(&job.world, [600, 4]).unwrap();
    region.update(|items| items[[599, 3]] = 2.5).unwrap();
    let text = region.to_string();
    let ranks = format!("for {} rank", job.size);
    for words in [
        "Region \"region\"",
        &ranks,
        "[600, 4]",
        "f64",
        "19200 bytes",
        "2.5",
        "...",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(text.lines().count() < 30, "{text}");
    let debug = format!("{region:?}");
    assert!(
        debug.contains("19200") && debug.contains("waiting_writers"),
        "{debug}"
    );
    job.world.barrier();
    // Requested while another rank writes.
    if job.rank == 0 {
        let guard = region.write();
        job.scratch.meet(0, job.size);
        job.scratch.meet(1, job.size);
        drop(guard);
    } else {
        job.scratch.meet(0, job.size);
        let text = region.to_string();
        assert!(text.contains("not available"), "{text}");
        job.scratch.meet(1, job.size);
    }
}
