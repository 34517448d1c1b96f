-- When a server last took a job of the lane `default`, which has no row in "lanes": of several servers that leave for it, one goes.
CREATE TABLE "default_lane_service" (
    "is_lane" BOOLEAN NOT NULL DEFAULT true,
    "last_served_at" TIMESTAMPTZ(3),

    CONSTRAINT "default_lane_service_pkey" PRIMARY KEY ("is_lane"),
    CONSTRAINT "default_lane_service_check" CHECK ("is_lane")
);
INSERT INTO "default_lane_service" DEFAULT VALUES;
