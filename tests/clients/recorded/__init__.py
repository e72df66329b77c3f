"""What graphical clients send, request by request, as their sources say: they run on no test machine."""
