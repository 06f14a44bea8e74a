use super::*;
use crate::made::{event, job, process, wait};
use mpisync::inspect::trace::place;

#[test]
fn events_come_back_as_they_were() {
    let mut made = process(3, 4);
    for index in 0..1000 {
        let begin = index * 1_000_000_007;
        let mut next = wait(begin, begin + index, 2, (index % 4) as u32);
        match index % 3 {
            0 => next = event(Activity::Task, begin, u64::from(u32::MAX) + begin),
            1 => next.keeper = None,
            _ => next.end = None,
        }
        next.task = index.is_multiple_of(5).then_some(index as u32);
        made.events.push(next);
    }
    let job = job([made.clone()]);
    let lane = &job.lanes()[0];
    assert_eq!((lane.rank, lane.events, job.events()), (3, 1000, 1000));
    assert_eq!(lane.blocks().len(), 4);
    assert_eq!(lane.blocks()[1].end, u64::MAX);
    let end = made.events.iter().filter_map(|event| event.end).max();
    assert_eq!((job.begin(), Some(job.end())), (0, end));
    let found: Vec<Seen> = job.events_of(lane).collect();
    assert_eq!(found.len(), 1000);
    for (found, made) in found.iter().zip(&made.events) {
        assert_eq!(found.begin, made.begin);
        assert_eq!(found.end, made.end.unwrap_or(job.end()));
        assert_eq!(found.is_open, made.end.is_none());
        assert_eq!((found.keeper, found.task), (made.keeper, made.task));
        assert_eq!(found.keeper_place, made.keeper_place);
        let site = job.names.site(found.site);
        assert_eq!(site.activity, made.activity);
        assert_eq!(job.names.call(site.call), "lock");
        assert_eq!(job.names.place(0).to_string(), "src/main.rs:10");
    }
}

#[test]
fn processes_share_names() {
    let mut first = process(1, 2);
    first.events.push(event(Activity::Hold, 0, 1));
    let mut second = process(0, 2);
    second.places.insert(0, place("src/other.rs", 1));
    second.events.push(Event {
        place: Some(1),
        ..event(Activity::Hold, 0, 1)
    });
    let job = job([first, second]);
    let ranks: Vec<u32> = job.lanes().iter().map(|lane| lane.rank).collect();
    assert_eq!(ranks, [0, 1]);
    assert_eq!((job.lane_of(1), job.lane_of(2)), (Some(1), None));
    assert_eq!((job.names.sites().len(), job.names.objects().len()), (1, 2));
    assert_eq!(job.names.places().len(), 5);
}

#[test]
fn strange_events_are_no_trouble() {
    let mut made = process(0, 1);
    made.events = vec![
        event(Activity::Wait, 50, 20),
        event(Activity::Hold, 10, u64::MAX),
        Event {
            object: 99,
            call: 99,
            place: Some(99),
            keeper_place: Some(99),
            end: None,
            ..event(Activity::Wait, u64::MAX, 0)
        },
    ];
    let job = job([made]);
    assert_eq!((job.reversed, job.begin(), job.end()), (1, 10, u64::MAX));
    let found: Vec<Seen> = job.events_of(&job.lanes()[0]).collect();
    let times: Vec<(u64, u64)> = found.iter().map(|it| (it.begin, it.end)).collect();
    assert_eq!(times, [(10, u64::MAX), (50, 50), (u64::MAX, u64::MAX)]);
    let site = job.names.site(found[2].site);
    assert_eq!(label(job.names.object(site.object)), "unknown");
    assert_eq!((job.names.call(site.call), site.place), ("unknown", None));
}

#[test]
fn a_job_without_events_has_no_span() {
    let job = job([process(0, 1)]);
    assert_eq!((job.begin(), job.end(), job.span()), (0, 0, 0));
    assert_eq!(job.events_of(&job.lanes()[0]).count(), 0);
}
