//! Which paths exist, and with which methods.

use actix_web::{
    App, Error, Resource,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use order_domain::Orders;

use crate::{finish::finish, handlers, problem::Problem};

/// The whole API over `orders`, as production and tests use it.
pub fn app(
    orders: Orders,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(Data::new(orders))
        .configure(routes)
        .default_service(web::to(handlers::unknown_path))
        .wrap(from_fn(finish))
}

/// A trailing slash means the same as none, so each path stands twice. Rewriting paths before
/// they are routed would also touch paths that other rooms own.
fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource(["/orders", "/orders/"], "GET, HEAD, POST")
                .route(web::get().to(handlers::list_orders))
                .route(web::head().to(handlers::list_orders))
                .route(web::post().to(handlers::place_order)),
        )
        .service(
            resource(["/orders/{id}", "/orders/{id}/"], "GET, HEAD, PATCH")
                .route(web::get().to(handlers::find_order))
                .route(web::head().to(handlers::find_order))
                .route(web::patch().to(handlers::take_order)),
        )
        .service(
            resource(["/healthcheck", "/healthcheck/"], "GET, HEAD")
                .route(web::get().to(handlers::healthcheck))
                .route(web::head().to(handlers::healthcheck)),
        );
}

/// A resource that answers other methods than its own with what it allows.
fn resource(paths: [&'static str; 2], allow: &'static str) -> Resource {
    let refuse = move || std::future::ready(Err::<&str, _>(Problem::method_not_allowed(allow)));
    web::resource(paths).default_service(web::to(refuse))
}
