module cf-pusher/mockcapi

go 1.23.0
