"""The workflow for hosted runners, which no one runs here: linted, and held to what it names."""

import os
import re
import sys
import unittest

from scratch import ROOT, TRIPLES, lint, loaded, need, run

WORKFLOW = ROOT / ".github/workflows/hbb.yml"


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


class Workflow(unittest.TestCase):
    def test_it_is_clean(self):
        self.assertEqual(lint(WORKFLOW), "")
        self.assertEqual(lint(ROOT / "board/debian/nfpm.yaml"), "")

    def test_a_job_may_write_only_where_it_publishes(self):
        workflow = loaded(WORKFLOW)
        self.assertEqual(workflow["permissions"], {"contents": "read"})
        allowed = {name: job["permissions"] for name, job in workflow["jobs"].items()
                   if "permissions" in job}
        self.assertEqual(allowed, {"release": {"contents": "write"}})
        self.assertIn("refs/tags/v", workflow["jobs"]["release"]["if"])
        for step in steps(workflow):
            if step.get("uses", "").startswith("actions/checkout@"):
                self.assertIs(step["with"]["persist-credentials"], False)

    def test_actions_are_pinned_and_are_githubs_own(self):
        text = WORKFLOW.read_text()
        uses = re.findall(r"uses: (\S+)(.*)", text)
        self.assertGreaterEqual(len(uses), 4)
        for action, comment in uses:
            self.assertRegex(action, r"^actions/[a-z-]+@[0-9a-f]{40}$")
            self.assertRegex(comment, r"^  # v\d+\.\d+\.\d+$")

    def test_no_script_holds_what_a_stranger_can_name(self):
        for step in steps(loaded(WORKFLOW)):
            self.assertNotIn("${{", step.get("run", ""))

    def test_scripts_it_calls_are_there_and_its_shell_is_clean(self):
        shell = need("shellcheck", "shellcheck")
        for step in steps(loaded(WORKFLOW)):
            if "run" not in step:
                continue
            # GitHub runs them by bash -e.
            script = f"set -e\n{step['run']}\n"
            said = run(shell, "-s", "bash", "-", input=script, check=False)
            self.assertEqual(said, "")
            for path in re.findall(r"(?:\.ci|cross|size-report)/[a-z]+", step["run"]):
                self.assertTrue(os.access(ROOT / path, os.X_OK), path)

    def test_every_triple_is_built_twice(self):
        matrix = loaded(WORKFLOW)["jobs"]["same-bytes"]["strategy"]["matrix"]
        self.assertEqual(sorted(matrix["triple"]), sorted(TRIPLES))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
