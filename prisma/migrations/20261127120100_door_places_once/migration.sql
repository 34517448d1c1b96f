CREATE UNIQUE INDEX "door_prompts_place_key" ON "door_prompts"("tenant_id", "place");
