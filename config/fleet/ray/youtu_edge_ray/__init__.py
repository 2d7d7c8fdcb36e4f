"""youtu-edge as a Ray Serve application: boards behind one ingress; see docs/fleet.md."""
