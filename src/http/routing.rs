//! Routes as [`axum::routing`] makes them, of handlers whose types are erased.
//!
//! axum compiles about a hundred functions for each type of handler. The handlers of these routes have one type, so that
//! the functions are compiled once for each state, and not once for each route.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{self, MethodRouter};
use futures_util::future::BoxFuture;

type Answer = BoxFuture<'static, Response>;

struct Erased<S>(Arc<dyn Fn(Request, S) -> Answer + Send + Sync>);

impl<S> Clone for Erased<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static> Handler<(), S> for Erased<S> {
    type Future = Answer;

    fn call(self, request: Request, state: S) -> Answer {
        (self.0)(request, state)
    }
}

fn erased<T, S>(handler: impl Handler<T, S, Future = Answer>) -> Erased<S> {
    Erased(Arc::new(move |request, state| handler.clone().call(request, state)))
}

/// A function that makes the route of a method, under the name of the method.
macro_rules! methods {
    ($($method:ident)*) => {$(
        pub(crate) fn $method<T, S>(handler: impl Handler<T, S, Future = Answer>) -> MethodRouter<S>
        where
            S: Clone + Send + Sync + 'static,
        {
            routing::$method(erased(handler))
        }
    )*};
}

methods! { get post patch delete }
