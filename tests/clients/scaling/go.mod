module cf-pusher/tests/clients/scaling

go 1.21
