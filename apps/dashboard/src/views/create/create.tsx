import { Button, Stack, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { genga } from "../../connection/genga.ts";
import { ErrorState } from "../../parts/error-state.tsx";

export function Create(): ReactNode {
  const navigate = useNavigate();
  const [prompt, setPrompt] = useState("");
  const [negativePrompt, setNegativePrompt] = useState("");
  const submission = useMutation({
    mutationFn: () =>
      genga.submit({ type: "image", prompt, ...(negativePrompt !== "" && { negativePrompt }) }),
    onSuccess: ({ id }) => navigate({ to: "/jobs/$id", params: { id } }),
  });
  return (
    <Stack maw={700}>
      <Title order={2}>Create</Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submission.mutate();
        }}
      >
        <Stack>
          <Textarea
            label="Prompt"
            required
            autosize
            minRows={3}
            value={prompt}
            onChange={(event) => {
              setPrompt(event.currentTarget.value);
            }}
          />
          <TextInput
            label="Negative prompt"
            value={negativePrompt}
            onChange={(event) => {
              setNegativePrompt(event.currentTarget.value);
            }}
          />
          {submission.isError && <ErrorState error={submission.error} />}
          <Button type="submit" loading={submission.isPending}>
            Submit
          </Button>
        </Stack>
      </form>
    </Stack>
  );
}
