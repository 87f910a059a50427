"""The platform on your desk: pack, unpack, run and score a zip as the platform would."""
