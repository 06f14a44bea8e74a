//! The macros on methods: the controller is a field, a parameter, or behind a method.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::cell::{RefCell, RefMut};

use mpisync::{CollectiveError, WindowController};

struct Results {
    ctrl: WindowController,
    shared: RefCell<WindowController>,
    names: Vec<String>,
}

trait Store {
    fn create(&mut self, name: &str) -> Result<usize, CollectiveError>;
}

impl Store for Results {
    #[mpisync::single_write(ctrl = self.ctrl, rank = self.ctrl.master())]
    fn create(&mut self, name: &str) -> Result<usize, CollectiveError> {
        self.names.push(name.to_owned());
        Ok(self.names.len())
    }
}

impl Results {
    /// Every rank runs the body, which may use all of `self`.
    #[mpisync::collective(ctrl = self.ctrl)]
    fn create_both(&mut self) -> Result<usize, CollectiveError> {
        self.create("left")?;
        drop(self.ctrl.write());
        self.create("right")
    }

    #[mpisync::single_write]
    fn with_parameter(&self, ctrl: &mut WindowController) -> Result<(usize, i32), CollectiveError> {
        Ok((self.names.len(), ctrl.rank()))
    }

    #[mpisync::single_write(ctrl = self.lent())]
    fn behind_a_method(&self) -> Result<String, CollectiveError> {
        Ok(self.names.join(" "))
    }

    #[mpisync::single_write(ctrl = &mut self.ctrl)]
    fn of_the_type(mut self) -> Result<Vec<String>, CollectiveError> {
        self.names.reverse();
        Ok(self.names)
    }

    fn lent(&self) -> RefMut<'_, WindowController> {
        self.shared.borrow_mut()
    }
}

fn main() {
    let mut ctrl = WindowController::local();
    let mut results = Results {
        ctrl: WindowController::local(),
        shared: RefCell::new(WindowController::local()),
        names: Vec::new(),
    };
    assert_eq!(results.create("first").unwrap(), 1);
    assert_eq!(results.create_both().unwrap(), 3);
    assert_eq!(results.with_parameter(&mut ctrl).unwrap(), (3, 0));
    assert_eq!(results.behind_a_method().unwrap(), "first left right");
    assert_eq!(results.of_the_type().unwrap(), ["right", "left", "first"]);
}
