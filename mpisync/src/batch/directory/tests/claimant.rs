//! The contents of a claim, and when its process is known to have ended.

use crate::batch::directory::claimant::{Owner, word};

#[test]
fn an_owner_is_read_as_it_was_written_and_only_when_it_is_whole() {
    let owner = Owner::this();
    let text = owner.text();
    assert_eq!(Owner::read(&text), Some(owner));
    for length in 0..text.len() {
        assert_eq!(Owner::read(&text[..length]), None, "{:?}", &text[..length]);
    }
    assert_eq!(Owner::read(&format!("{text}more\n")), None);
    assert_eq!(Owner::read(&text.replace("pid ", "pid x")), None);
}

#[test]
fn only_what_is_near_can_be_known_to_be_gone() {
    let this = Owner::this();
    assert_eq!(this.is_alive(&this), Some(true));
    let mut gone = this.clone();
    gone.process.born += 1;
    assert_eq!(gone.is_alive(&this), Some(false));
    let changes: [fn(&mut Owner); 3] = [
        |owner| owner.boot.push('x'),
        |owner| owner.namespace.push('x'),
        |owner| owner.boot.clear(),
    ];
    for change in changes {
        let mut far = gone.clone();
        change(&mut far);
        assert_eq!(far.is_alive(&this), None);
    }
    let mut nowhere = gone.clone();
    nowhere.boot.clear();
    assert_eq!(nowhere.is_alive(&nowhere.clone()), None);
}

#[test]
fn names_of_hosts_fit_into_a_line_and_into_a_name() {
    assert_eq!(word(" node 1/a\n"), "node_1_a");
    assert_eq!(word(&"x".repeat(300)).len(), 64);
}
