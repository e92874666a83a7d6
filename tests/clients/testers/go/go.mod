module mock-capi-testers

go 1.21
