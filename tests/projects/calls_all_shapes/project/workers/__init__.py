from .models import Model as ReexportedModel, model
